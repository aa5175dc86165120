"""Settings from the environment, read by helpers that fail loudly.

A variable that is set but cannot be understood raises `BadEnvironment` with its name, its value's fault and an
example. A missing one takes its default. What a value must be *together with others* is the business of
`config/checks.py`.
"""

import os
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


class BadEnvironment(ImproperlyConfigured):
    """An environment variable holds something that cannot be used."""

    def __init__(self, name: str, expected: str, example: str) -> None:
        super().__init__(f"{name} must be {expected}, for example {name}={example}")


def needs(name: str, package: str) -> None:
    """Raises `ImproperlyConfigured` when the package that this variable asks for is not installed: said here, for
    Django would meet it before any check runs, in a traceback."""
    if find_spec(package) is None:
        raise ImproperlyConfigured(
            f"{name} needs the Python package {package}, which is not installed here; `make .venv/stack` installs it"
        )


def text(name: str, default: str) -> str:
    return os.environ.get(name, default)


def flag(name: str, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    if raw.lower() in ("1", "true", "yes", "on"):
        return True
    if raw.lower() in ("0", "false", "no", "off"):
        return False
    raise BadEnvironment(name, "1 or 0", "1")


def integer(name: str, default: int, minimum: int = 0) -> int:
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise BadEnvironment(name, "a whole number", str(default)) from None
    if value < minimum:
        raise BadEnvironment(name, f"at least {minimum}", str(default))
    return value


def seconds(name: str, default: float) -> float:
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        value = float(raw)
    except ValueError:
        raise BadEnvironment(name, "a number of seconds", str(default)) from None
    if not 0 < value < 1e9:
        raise BadEnvironment(name, "a positive number of seconds", str(default))
    return value


def names(name: str, default: list[str]) -> list[str]:
    raw = os.environ.get(name)
    if raw is None:
        return default
    return [part.strip() for part in raw.split(",") if part.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    raw = os.environ.get(name, default)
    if raw not in allowed:
        raise BadEnvironment(name, f"one of {', '.join(allowed)}", default)
    return raw


def addresses(name: str) -> list[str]:
    """IP addresses, in their usual spelling."""
    found = names(name, [])
    try:
        return [str(ip_address(address)) for address in found]
    except ValueError:
        raise BadEnvironment(name, "a list of IP addresses with commas", "10.0.0.1,10.0.0.2") from None


def networks(name: str, default: str) -> list[IPv4Network | IPv6Network]:
    """IP networks; a single address is a network of one."""
    try:
        return [ip_network(network) for network in names(name, default.split(","))]
    except ValueError:
        raise BadEnvironment(name, "a list of IP networks with commas", "127.0.0.0/8,10.0.0.0/8") from None


def url(name: str, schemes: tuple[str, ...], example: str) -> SplitResult | None:
    """An address with one of these schemes and a host; None when the variable is not set."""
    raw = os.environ.get(name)
    return None if raw is None else _split(name, raw, schemes, example)


def endpoint(name: str) -> str:
    """The address of a service, without a path; "" when the variable is not set or empty."""
    example = "http://127.0.0.1:4566"
    if not os.environ.get(name):
        return ""
    parts = _split(name, os.environ[name], ("http", "https"), example)
    if parts.path.strip("/") or parts.query or parts.username:
        raise BadEnvironment(name, "an address of a host and a port and nothing else", example)
    return f"{parts.scheme}://{parts.netloc}"


def databases(name: str) -> list[dict[str, object]]:
    """The `NAME`, `USER`, `PASSWORD`, `HOST` and `PORT` of each database address in the list."""
    return [_database(name, raw) for raw in names(name, [])]


def _database(name: str, raw: str) -> dict[str, object]:
    example = "mysql://user:password@host:3306/stampede"
    parts = _split(name, raw, ("mysql",), example)
    if not parts.path.strip("/") or not parts.username:
        raise BadEnvironment(name, "an address with a user and the name of a database", example)
    return {
        "NAME": parts.path.strip("/"),
        "USER": unquote(parts.username),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": parts.port or 3306,
    }


def _split(name: str, raw: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(raw)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise BadEnvironment(name, f"an address that begins with {' or '.join(f'{s}://' for s in schemes)}", example)
    return parts


def folder(name: str, default: Path) -> Path:
    """A folder, made if it is not there."""
    path = Path(os.environ.get(name) or default).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadEnvironment(name, f"a folder that can be made and written to ({error.strerror})", "var/data") from None
    return path

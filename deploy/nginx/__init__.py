"""nginx in front of the application: the same templates for the private stack on one machine and for a server. What the
rules in them are for stands beside each rule; the choices behind them in docs/decisions/0015."""

import json
import os
import pwd
import re
import resource
import shutil
from dataclasses import dataclass
from html import escape
from pathlib import Path

from deploy.nginx import shop

TEMPLATES = Path(__file__).resolve().parent
PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
# What stands in a directive unquoted. Anything else could end the directive and begin another.
PLAIN = re.compile(r"[A-Za-z0-9_./:\[\]*~+=@-]+")
HOSTS = ("localhost", "127.0.0.1", "[::1]")  # those of STAMPEDE_ALLOWED_HOSTS when it is not set
DESCRIPTORS = 20_000


class CannotWrite(ValueError):
    """A value cannot stand in nginx's configuration; the message names it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client address may do; 0 switches a limit off. The defaults leave room for a thousand people behind one
    address who poll every 30 s, sign up and walk through the pages; answers of the cache and static files are not
    counted among the requests, and the shop's pages that are not in the cache by themselves."""

    connections: int = 4_000
    requests_per_second: int = 200
    burst: int = 1_000


NO_LIMITS = Limits(connections=0, requests_per_second=0, burst=0)


def write(
    folder: Path,
    *,
    listen: str,
    upstream: str,
    static_root: Path,
    internal: str,
    workers: int = 2,
    hosts: tuple[str, ...] = HOSTS,
    behind: tuple[str, ...] = (),
    internal_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128"),
    limits: Limits = NO_LIMITS,
    user: str | None = None,
    logs: Path | None = None,
    pid: Path | None = None,
    media_root: Path | None = None,
    descriptors: int | None = None,
) -> Path:
    """Write nginx.conf and what belongs to it into `folder`, which then holds its cache, temporary files, logs and pid
    as well. Returns the path of nginx.conf; `command` starts it.

    `listen`, `upstream`, `internal`: host:port of the public listener, of gunicorn, and of the listener that only
    operators reach (stub_status, /metrics). `hosts`: names that are answered, as in STAMPEDE_ALLOWED_HOSTS,
    `.example.org` and `*` as well. `behind`: networks of the balancers whose X-Forwarded-For and X-Forwarded-Proto are
    believed. `media_root`: the folder `media` beside `static_root` unless named. `user`: who the workers run as when
    root starts it, the starting user unless named. `descriptors`: of one worker, the machine's cap unless named.

    Raises `CannotWrite` for a value that would not stay inside its directive.
    """
    if not hosts:
        raise CannotWrite("hosts: no name would be answered")
    folder = folder.resolve()
    logs, pid = (logs or folder / "logs").resolve(), (pid or folder / "nginx.pid").resolve()
    descriptors = descriptors or _descriptors()
    values = {
        "FOLDER": str(folder),
        "LOGS": str(logs),
        "PID": str(pid),
        "USER": f"user {_plain('user', user or pwd.getpwuid(os.geteuid()).pw_name)};" if _as_root(user) else "",
        "WORKERS": str(workers),
        "DESCRIPTORS": str(descriptors),
        "CONNECTIONS": str(descriptors * 9 // 10),  # the rest is for files of the cache, logs and listeners
        "LISTEN": listen,
        "INTERNAL": internal,
        "UPSTREAM": upstream,
        "STATIC_ROOT": str(static_root.resolve()),
        "MEDIA_ROOT": str((media_root or static_root.parent / "media").resolve()),
        "HOSTS": " ".join("~." if host == "*" else _plain("host", host) for host in hosts),
        "HOST": hosts[0].lstrip("*.") or HOSTS[0],
    }
    for name in values.keys() - {"USER", "HOSTS"}:
        _plain(name.lower(), values[name])
    values |= {
        "TRUSTED": _lines("set_real_ip_from {};", behind),
        "BALANCERS": _lines("{} 1;", behind),
        "OPERATORS": _lines("allow {};", internal_networks),
        **_limits(limits),
    }
    values |= shop.values()
    for path in (folder / "temp", folder / "cache", folder / "pages", logs, pid.parent):
        path.mkdir(parents=True, exist_ok=True)
    for template in TEMPLATES.glob("*.conf"):
        (folder / template.name).write_text(_filled(template.read_text(), values))
    _write_pages(folder / "pages")
    return folder / "nginx.conf"


def command(conf: Path, *more: str) -> list[str]:
    """What starts this nginx in the foreground. With `-t` it only looks at the configuration, with `-s quit` it ends a
    running one when its requests are answered."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin") or "nginx"
    return [program, "-p", str(conf.parent), "-c", str(conf), "-e", "stderr", *more]


def _as_root(user: str | None) -> bool:
    return user is not None or os.geteuid() == 0


def _descriptors() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)


def _plain(name: str, value: str) -> str:
    if not PLAIN.fullmatch(value):
        raise CannotWrite(f"{name}: {value!r} cannot stand in nginx's configuration")
    return value


def _lines(form: str, values: tuple[str, ...]) -> str:
    return "\n    ".join(form.format(_plain("network", value)) for value in values)


def _limits(limits: Limits) -> dict[str, str]:
    # A zone wants a rate even when nobody uses it.
    rate = max(limits.requests_per_second, 1)
    burst = f" burst={limits.burst}" if limits.burst else ""
    return {
        "RATE": f"{rate}r/s",
        "LIMIT_REQUESTS": f"limit_req zone=requests{burst} nodelay;" if limits.requests_per_second else "",
        "LIMIT_ASKERS": f"limit_req zone=asked{burst} nodelay;" if limits.requests_per_second else "",
        "LIMIT_CONNECTIONS": f"limit_conn connections {limits.connections};" if limits.connections else "",
    }


def _filled(template: str, values: dict[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], template)


# Errors of nginx itself. The application explains its own.
_REASONS = {
    400: ("Bad Request", "The request could not be understood."),
    403: ("Forbidden", "This address is not for the public."),
    404: ("Not Found", "There is nothing at this address."),
    405: ("Method Not Allowed", "This address does not take requests of this kind."),
    408: ("Request Timeout", "The request came too slowly."),
    413: ("Content Too Large", "The request is larger than anything this application expects."),
    414: ("URI Too Long", "The address is longer than any of ours."),
    421: ("Misdirected Request", "No such site is served here."),
    429: ("Too Many Requests", "That was too often. Please wait a moment."),
    431: ("Request Header Fields Too Large", "The request's headers are larger than anything we expect."),
    500: ("Internal Server Error", "Something went wrong here. It has been noted."),
    503: ("Service Unavailable", "The service cannot take this right now. Please try again in a few seconds."),
}


def _write_pages(folder: Path) -> None:
    page = (TEMPLATES / "error.html").read_text()
    for status, (title, detail) in _REASONS.items():
        words = {"STATUS": str(status), "TITLE": escape(title), "DETAIL": escape(detail)}
        (folder / f"{status}.html").write_text(_filled(page, words))
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        (folder / f"{status}.problem").write_text(json.dumps(problem))

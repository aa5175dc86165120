"""Which host may be driven: this machine, or a host that is named twice, as the target and as allowed. A load generator
pointed at the wrong name is an attack; that the host itself wants it is asked then (`loadtests/guard/challenge.py`).

The name is resolved once, and the connections go to that address and nowhere else, whatever a redirect, a link in a
mail or a changed name says.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit


class TargetRefused(Exception):
    """This host is not driven; the message says why."""


class ForeignHost(OSError):
    """An address that is not the target's was about to be visited. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """The one place a run sends to. `address` is the numeric address that `host` had when the run began."""

    scheme: str
    host: str
    port: int
    address: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """As a browser writes it into the Host header: without the port that the scheme has anyway."""
        return self.url.partition("//")[2].removesuffix(f":{_default_port(self.scheme)}")

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        return ipaddress.ip_address(self.address).is_loopback

    def path_of(self, link: str) -> str:
        """The path and query of a link that leads here (relative, or absolute at this host). Raises `ForeignHost`."""
        try:
            parts = urlsplit(link)
        except ValueError as error:
            raise ForeignHost(f"{link[:100]!r} leads nowhere: {error}") from error
        if (parts.scheme or parts.netloc) and not self._is_here(parts):
            raise ForeignHost(f"{_origin(parts)} is not the target {self.url}; off-host links are never followed")
        path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
        return f"{path}?{parts.query}" if parts.query else path

    def _is_here(self, parts: SplitResult) -> bool:
        try:
            port = parts.port or _default_port(parts.scheme or self.scheme)
        except ValueError:
            return False
        same_host = parts.hostname == self.host or (self.is_here and _is_loopback_name(parts.hostname or ""))
        return (parts.scheme or self.scheme) == self.scheme and same_host and port == self.port


def resolve(url: str, *, allow: Collection[str] = (), address: str = "") -> Target:
    """The target behind a URL. Raises `TargetRefused` unless all its addresses are loopback addresses, or the host is
    named in `allow`, as `host` or `host:port`, exactly. `address`: the one that was found and asked before; the name is
    not looked up again then, for it may have others by now."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TargetRefused(f"{url!r} is not an http(s) address of a host")
    if parts.username or parts.password:
        raise TargetRefused("a host with a name and password in it is not taken: they would end up in the record")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise TargetRefused(f"{url!r} has a path; name the host only, as in http://127.0.0.1:8000")
    try:
        port = parts.port or _default_port(parts.scheme)
        found = socket.getaddrinfo(address or parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise TargetRefused(f"{parts.hostname} cannot be resolved: {error}") from error
    addresses = sorted({str(entry[4][0]) for entry in found}, key=lambda one: (":" in one, one))
    foreign = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if foreign and not {parts.hostname, f"{parts.hostname}:{port}"} & {name.lower() for name in allow}:
        raise TargetRefused(
            f"{parts.hostname} is {', '.join(foreign)}, which is not this machine. Without being named a second time "
            f"(--allow-host {parts.hostname}) only loopback hosts (127.0.0.0/8 and ::1) are driven; nothing was sent."
        )
    return Target(parts.scheme, parts.hostname, port, addresses[0])


def _is_loopback_name(name: str) -> bool:
    """Known without asking anybody: a link must not cause a look-up."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

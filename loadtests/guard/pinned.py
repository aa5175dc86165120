"""Single requests to the address that a name had when it was resolved, and to no other: what the guard and the
bystander's probe ask. The crowd's own connections are in `loadtests/browsing/wire.py`.

Each has so many seconds for all of it. What drips a byte a second would, by the waits alone, hold us up for hours.
"""

import socket
import ssl
import time
from http.client import HTTPConnection
from typing import Any

from loadtests.browsing import tls
from loadtests.target import Target


def connection(target: Target, *, timeout: float) -> HTTPConnection:
    """Not connected yet; `timeout`: seconds from a request, connecting included, to the last byte of its answer that is
    read; after them the reading raises `TimeoutError`. It follows no redirect. Raises `TargetRefused` where there is
    nothing to know its certificate by."""
    return _Pinned(target, timeout)


class _Bounded(socket.socket):
    """`until`: of time.monotonic(), when the patience ends."""

    until = 0.0

    def recv_into(self, *given: Any, **named: Any) -> int:
        self.settimeout(left(self.until))
        return super().recv_into(*given, **named)


class _BoundedWithTls(ssl.SSLSocket):
    until = 0.0

    def recv_into(self, *given: Any, **named: Any) -> int:
        self.settimeout(left(self.until))
        return super().recv_into(*given, **named)


def left(until: float) -> float:
    """Seconds. Raises `TimeoutError` when there are none."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("it took too long")
    return seconds


class _Pinned(HTTPConnection):
    sock: Any

    def __init__(self, target: Target, timeout: float) -> None:
        self._trust = tls.context(target) if target.scheme == "https" else None
        if self._trust is not None:
            self._trust.sslsocket_class = _BoundedWithTls
        super().__init__(target.host, target.port, timeout=timeout)
        self._address, self._seconds, self._until = target.address, timeout, 0.0

    def putrequest(self, *given: Any, **named: Any) -> None:
        self._until = time.monotonic() + self._seconds
        if self.sock is not None:
            self.sock.until = self._until
        super().putrequest(*given, **named)

    def connect(self) -> None:
        plain = _connected(self._address, self.port, self._until)
        try:
            plain.settimeout(left(self._until))  # the handshake's as well, as a whole
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host) if self._trust else plain
        except BaseException:
            plain.close()
            raise
        self.sock.until = self._until


def _connected(address: str, port: int, until: float) -> _Bounded:
    made = _Bounded(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.settimeout(left(until))
        made.connect((address, port))
    except BaseException:
        made.close()
        raise
    made.until = until
    return made

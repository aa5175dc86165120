"""Single requests to the address that a name had when it was resolved, and to no other: what the guard and the
bystander's probe ask. The crowd's own connections are in `loadtests/browsing/wire.py`."""

import socket
from http.client import HTTPConnection, HTTPSConnection

from loadtests.browsing import tls
from loadtests.target import Target


def connection(target: Target, *, timeout: float) -> HTTPConnection:
    """Not connected yet; `timeout` in seconds, for each wait. It follows no redirect."""
    return _Pinned(target, timeout) if target.scheme == "http" else _PinnedWithTls(target, timeout)


class _Pinned(HTTPConnection):
    def __init__(self, target: Target, timeout: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout)
        self._address = target.address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _PinnedWithTls(HTTPSConnection):
    def __init__(self, target: Target, timeout: float) -> None:
        self._tls = tls.context()
        super().__init__(target.host, target.port, timeout=timeout, context=self._tls)
        self._address = target.address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)

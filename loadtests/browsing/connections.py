"""One kept connection for each visitor, to the target and nowhere else.

geventhttpclient asks `select.select` whether a pooled connection is still alive. That call refuses descriptors from
1024 up, which the client takes for "dead": a generator with more than about a thousand visitors opens a connection for
every request and measures the handshakes. It also looks the host up in a thread pool for each connection. Here a
connection is asked with `poll`, and goes to the address the target had when the run began.
"""

import select
from typing import Any

from gevent import socket, ssl
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.url import URL

from loadtests.browsing import tls
from loadtests.target import ForeignHost, Target


class KeptConnection(ConnectionPool):  # type: ignore[misc]  # the library has no types we follow
    def pin(self, address: str) -> "KeptConnection":
        self._address = address
        return self

    def _resolve(self) -> list[Any]:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 0, "", (self._address, self._connection_port))]

    def _after_idle(self, sock: Any) -> bool:
        # Whatever is readable on an idle connection is its end, or rubbish: either way it is not used again.
        poll = _poll()
        poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def _is_socket_alive(self, sock: Any) -> bool:
        try:
            return sock is not None and sock.fileno() >= 0 and self._after_idle(sock)
        except (OSError, ValueError):
            return False


class KeptConnectionWithTls(KeptConnection, SSLConnectionPool):  # type: ignore[misc]
    """Certificates as in `loadtests/browsing/tls.py`."""


class TargetOnly(HTTPClientPool):  # type: ignore[misc]
    """The HTTP clients of one visitor: one, for the target. Any other host is refused before a socket exists."""

    def __init__(self, target: Target, *, connection_timeout: float, network_timeout: float) -> None:
        super().__init__(
            connection_timeout=connection_timeout,
            network_timeout=network_timeout,
            concurrency=1,
            insecure=target.is_here,
        )
        self._target = target

    def get_client(self, url: Any) -> Any:
        parts = url if isinstance(url, URL) else URL(url)
        key = parts.host, parts.port
        if key not in self.clients:
            self.clients[key] = self._connect(parts)
        return self.clients[key]

    def _connect(self, parts: Any) -> Any:
        if (parts.host, parts.port) != (self._target.host, self._target.port):
            raise ForeignHost(f"{parts.host}:{parts.port} is not the target {self._target.url}; nothing was sent")
        client = HTTPClient.from_url(parts, **self.client_args)
        where = (self._target.host, self._target.port)
        waits = {name: self.client_args[name] for name in ("connection_timeout", "network_timeout")}
        if parts.scheme == "http":
            pool = KeptConnection(*where, *where, size=1, **waits)
        else:
            trust = {"ssl_context_factory": self._trust, "insecure": self._target.is_here}
            pool = KeptConnectionWithTls(*where, *where, size=1, **waits, **trust)
        client._connection_pool = pool.pin(self._target.address)
        return client

    def _trust(self, cafile: str) -> Any:
        """`cafile`: the library's own authorities, which are not asked."""
        return tls.context(self._target, ssl.SSLContext)


def _poll() -> Any:
    # gevent replaces select.poll by one that goes through the loop; asking with a time-out of 0 needs no loop.
    from gevent import monkey

    return monkey.get_original("select", "poll")()

"""One kept connection for each visitor, to the target and nowhere else.

geventhttpclient asks `select.select` whether a pooled connection is still alive. That call refuses descriptors from
1024 up, which the client takes for "dead": a generator with more than about a thousand visitors opens a connection for
every request and measures the handshakes. It also looks the host up in a thread pool for each connection. Here a
connection is asked with `poll`, and goes to the address the target had when the run began.
"""

import select
from typing import Any

from gevent import socket
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.url import URL

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


class TargetOnly(HTTPClientPool):  # type: ignore[misc]
    """The HTTP clients of one visitor: one, for the target. Any other host is refused before a socket exists."""

    def __init__(self, target: Target, *, connection_timeout: float, network_timeout: float) -> None:
        super().__init__(
            connection_timeout=connection_timeout, network_timeout=network_timeout, concurrency=1, insecure=True
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
        if parts.scheme == "http":
            client._connection_pool = KeptConnection(
                self._target.host,
                self._target.port,
                self._target.host,
                self._target.port,
                size=1,
                connection_timeout=self.client_args["connection_timeout"],
                network_timeout=self.client_args["network_timeout"],
            ).pin(self._target.address)
        return client


def _poll() -> Any:
    # gevent replaces select.poll by one that goes through the loop; asking with a time-out of 0 needs no loop.
    from gevent import monkey

    return monkey.get_original("select", "poll")()

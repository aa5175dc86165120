"""All connections of one generator process: one `epoll`, and a pool of readers.

gevent's patches (importing locust brings them) do not reach what is used here: `epoll` as it was before, and the
sockets of C, `_socket`. Every connection goes to the one address that the target had when the run began.
"""

import _socket
import errno
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from loadtests.browsing import tls
from loadtests.browsing.reading import Held, Reader
from loadtests.browsing.wire import IN, OUT, Connection, Owner, named
from loadtests.target import Target

_BATCH = 512
VISITORS_OF_ONE_ADDRESS = 10_000  # Linux gives 28,000 ports to an address
_IP_BIND_ADDRESS_NO_PORT = 24  # Linux, <linux/in.h>: the port is chosen by connect, for this destination
# Linux since 5.1, <asm-generic/socket.h>: SO_TIMESTAMPNS_NEW, a note of seconds and nanoseconds beside what is read.
_SO_TIMESTAMPNS_NEW = 64
_OUT_OF = {
    errno.EADDRNOTAVAIL: "out of ports",
    errno.EMFILE: "out of descriptors",
    errno.ENFILE: "out of descriptors",
    errno.ENOBUFS: "out of buffers",
}


class Wires:
    """All connections of one generator process. `sources`: own addresses to go out from, in turn; none: the kernel's
    choice."""

    def __init__(
        self, *, target: Target, owner: Owner, clock: Callable[[], float], sources: Sequence[str] = ()
    ) -> None:
        self.owner = owner
        self.clock = clock
        self._epoll = _epoll()
        self._open: dict[int, Connection] = {}
        self._closing: list[Any] = []
        self._readers: list[Reader] = []
        self._held = Held()
        self._family = _socket.AF_INET6 if ":" in target.address else _socket.AF_INET
        self._address = (target.address, target.port)
        self._make: Callable[[Wires, Any, bool], Connection] = _made_for(target)
        self._sources: Iterator[str] | None = _round(sources) if sources else None

    def __len__(self) -> int:
        return len(self._open)

    def fileno(self) -> int:
        return int(self._epoll.fileno())

    def open(self) -> Connection:
        """Begin to connect. Raises `OSError`."""
        sock = _socket.socket(self._family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            sock.setsockopt(_socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW, 1)
            if self._sources is not None:
                sock.setsockopt(_socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((next(self._sources), 0))
            failed = sock.connect_ex(self._address)
            if failed == errno.EINPROGRESS:
                # On one machine it stands by now. Asked at once, for the next look at all sockets may be a while off,
                # and that while is ours and not the target's.
                failed = sock.connect_ex(self._address)
            stands = failed in (0, errno.EISCONN)
            if not stands and failed not in (errno.EINPROGRESS, errno.EALREADY):
                raise OSError(failed, named(failed))
            self._epoll.register(sock.fileno(), IN if stands else OUT)
        except BaseException:
            sock.close()
            raise
        connection = self._open[sock.fileno()] = self._make(self, sock, stands)
        return connection

    def turn(self, timeout: float) -> None:
        """Wait, at most so long, and hand out what happened."""
        self._close_forgotten()
        for descriptor, what in self._epoll.poll(max(0.0, timeout), _BATCH):
            connection = self._open.get(descriptor)
            if connection is not None:
                connection.ready(what)
        self._close_forgotten()

    def watch(self, descriptor: int, what: int) -> None:
        self._epoll.modify(descriptor, what)

    def forget(self, descriptor: int, sock: Any) -> None:
        # Closed after the batch: a new connection must not get a number for which an old event is still at hand.
        if self._open.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            self._closing.append(sock)

    def reader(self, *, bare: bool) -> Reader:
        reader = self._readers.pop() if self._readers else Reader(self._held)
        reader.bare = bare
        return reader

    def give_back(self, reader: Reader) -> None:
        reader.release()
        if reader.reusable and not reader.excess and len(self._readers) < 1_000:
            reader.begin()
            self._readers.append(reader)

    def close(self) -> None:
        for connection in list(self._open.values()):
            connection.close()
        self._close_forgotten()
        self._epoll.close()

    def _close_forgotten(self) -> None:
        while self._closing:
            self._closing.pop().close()


def sources(target: Target, *, visitors: int) -> tuple[str, ...]:
    """Own addresses to go out from, where one has too few ports for so many visitors and this machine has others. None:
    the kernel's choice. A port that was closed here is held for a minute more."""
    if visitors <= VISITORS_OF_ONE_ADDRESS or not target.is_here or ":" in target.address:
        return ()
    return tuple(f"127.0.0.{number}" for number in range(1, 2 + min(253, visitors // VISITORS_OF_ONE_ADDRESS)))


def shortage(error: OSError) -> str | None:
    """What this machine has run out of, where that is the reason."""
    return _OUT_OF.get(error.errno or 0)


def _round(sources: Sequence[str]) -> Iterator[str]:
    while True:
        yield from sources


def _made_for(target: Target) -> Callable[[Wires, Any, bool], Connection]:
    if target.scheme != "https":
        return Connection
    trust = tls.context(target)
    return lambda wires, sock, stands: tls.TlsConnection(wires, sock, stands, trust, target.host)


def _epoll() -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original("select", "epoll")() if monkey else select.epoll()

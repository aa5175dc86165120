"""Connections to the target, without blocking: one `epoll` for all of them, one small object for each.

gevent's patches (importing locust brings them) do not reach what is used here: `epoll` as it was before, and the
sockets of C, `_socket`. Every connection goes to the one address that the target had when the run began.
"""

import _socket
import errno
import select
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from loadtests.reading import Garbled, Reader
from loadtests.steps import Step
from loadtests.target import Target

_READ = 65_536
_BATCH = 512
_IP_BIND_ADDRESS_NO_PORT = 24  # Linux, <linux/in.h>: the port is chosen by connect, for this destination
_OUT_OF = {
    errno.EADDRNOTAVAIL: "out of ports",
    errno.EMFILE: "out of descriptors",
    errno.ENFILE: "out of descriptors",
    errno.ENOBUFS: "out of buffers",
}
_IN, _OUT = 1, 4  # select.EPOLLIN, EPOLLOUT: gevent takes the names away


class Unsendable(Exception):
    """This step cannot be put on a wire as it is; nothing was sent."""


class Owner(Protocol):
    """Who drives the connections. `answered` and `broke` end a request; after them the connection is idle or closed."""

    def answered(self, connection: "Connection", reader: Reader, at: float) -> None: ...
    def broke(self, connection: "Connection", why: str, *, untouched: bool) -> None: ...
    def first_byte_out(self) -> None: ...
    def received(self, size: int) -> None: ...


def request_bytes(step: Step, host: str) -> bytes:
    """Raises `Unsendable`: what holds a line break would be a second request."""
    lines = [f"{step.method} {step.path} HTTP/1.1\r\nHost: {host}"]
    lines += [f"{name}: {value}" for name, value in step.headers.items()]
    if step.body or step.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(step.body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) or head.count("\r") != len(lines) or not step.path.startswith("/"):
        raise Unsendable(f"{step.method} with a path or a header that cannot be sent")
    if " " in step.path:
        raise Unsendable("a path with a space in it")
    try:
        return f"{head}\r\n\r\n".encode("latin-1") + step.body
    except UnicodeEncodeError as error:
        raise Unsendable("a path or a header that is not of Latin letters") from error


class Connection:
    """One TCP connection. It has at most one request at a time, `exchange`; the owner says what that is."""

    __slots__ = (
        "_connected",
        "_descriptor",
        "_outgoing",
        "_reader",
        "_socket",
        "_watched",
        "_wires",
        "answers",
        "exchange",
        "serial",
    )

    def __init__(self, wires: "Wires", sock: Any) -> None:
        self._wires = wires
        self._socket = sock
        self._descriptor: int = sock.fileno()
        self._connected = False
        self._watched = _OUT
        self._outgoing = b""
        self._reader: Reader | None = None
        self.exchange: Any = None
        self.answers = 0
        self.serial = 0  # grows with each request and with its end, so that an old time-out knows that it is old

    @property
    def closed(self) -> bool:
        return self._descriptor < 0

    def ask(self, request: bytes, exchange: Any, *, bare: bool) -> None:
        self.exchange = exchange
        self.serial += 1
        self._reader = self._wires.reader(bare=bare)
        self._outgoing = request
        if self._connected:
            self._send()

    def is_dead(self) -> bool:
        """Whether an idle connection has been closed by the other side, or holds rubbish."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """At once, without a word to the owner."""
        if self._descriptor < 0:
            return
        self.serial += 1
        self._wires.forget(self._descriptor, self._socket)
        self._descriptor = -1
        self.exchange = self._reader = None
        self._outgoing = b""

    def ready(self, what: int) -> None:
        """The kernel has something to say."""
        if not self._connected:
            self._finish_connecting()
        elif self._outgoing and what & _OUT:
            self._send()
        if what & ~_OUT and self._connected and self._descriptor >= 0:
            self._receive()

    def _finish_connecting(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            return self._break(f"connecting: {_named(error)}")
        self._connected = True
        self._watch(_IN)
        if self._outgoing:
            self._send()

    def _send(self) -> None:
        whole, self._outgoing = self._outgoing, b""
        try:
            sent = self._socket.send(whole)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            return self._break(f"sending: {_named(error.errno)}")
        if sent and not self.exchange.begun:
            self.exchange.begun = True
            self._wires.owner.first_byte_out()
        if sent < len(whole):
            self._outgoing = whole[sent:]
        self._watch(_IN | _OUT if self._outgoing else _IN)

    def _watch(self, what: int) -> None:
        if what != self._watched:
            self._watched = what
            self._wires.watch(self._descriptor, what)

    def _receive(self) -> None:
        try:
            received = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            return self._break(f"receiving: {_named(error.errno)}")
        at = self._wires.clock()
        reader = self._reader
        if reader is None:  # idle: its end, or rubbish; either way it is not used again
            return self._wires.owner.broke(self, "closed while idle", untouched=True)
        if not received:
            return self._ended(reader, at)
        self._wires.owner.received(len(received))
        self.exchange.touched = True
        try:
            reader.feed(received)
        except Garbled as error:
            return self._break(str(error))
        if reader.complete:
            self._complete(reader, at)

    def _ended(self, reader: Reader, at: float) -> None:
        if reader.closed():
            return self._complete(reader, at)
        half = "in the middle of an answer" if self.exchange.touched else "without an answer"
        self._break(f"the connection was closed {half}")

    def _complete(self, reader: Reader, at: float) -> None:
        """The exchange stays until the owner has taken it."""
        self._reader = None
        if self._outgoing:  # answered before all was asked: what is still to go out belongs to nobody
            reader.keep_alive, self._outgoing = False, b""
        self.answers += 1
        self.serial += 1
        self._wires.owner.answered(self, reader, at)
        self._wires.give_back(reader)

    def _break(self, why: str) -> None:
        touched = self.exchange is not None and self.exchange.touched
        self._wires.owner.broke(self, why, untouched=not touched)


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
        self._family = _socket.AF_INET6 if ":" in target.address else _socket.AF_INET
        self._address = (target.address, target.port)
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
            if self._sources is not None:
                sock.setsockopt(_socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((next(self._sources), 0))
            failed = sock.connect_ex(self._address)
            if failed not in (0, errno.EINPROGRESS):
                raise OSError(failed, _named(failed))
            self._epoll.register(sock.fileno(), _OUT)
        except BaseException:
            sock.close()
            raise
        connection = self._open[sock.fileno()] = Connection(self, sock)
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
        reader = self._readers.pop() if self._readers else Reader()
        reader.bare = bare
        return reader

    def give_back(self, reader: Reader) -> None:
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


def shortage(error: OSError) -> str | None:
    """What this machine has run out of, where that is the reason."""
    return _OUT_OF.get(error.errno or 0)


def _named(number: int | None) -> str:
    return errno.errorcode.get(number or 0, f"error {number}")


def _round(sources: Sequence[str]) -> Iterator[str]:
    while True:
        yield from sources


def _epoll() -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original("select", "epoll")() if monkey else select.epoll()

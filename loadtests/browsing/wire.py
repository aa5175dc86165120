"""One connection to the target, without blocking: a request goes out, its answer comes in, its end is told."""

import errno
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Protocol

from loadtests.browsing.reading import Garbled, Reader
from loadtests.steps import Step

if TYPE_CHECKING:
    from loadtests.browsing.wires import Wires

_READ = 65_536
# A note of seconds and nanoseconds beside what is read: SO_TIMESTAMPNS_NEW.
_STAMP = struct.Struct("qq")
_STAMP_ROOM = socket.CMSG_SPACE(_STAMP.size)
_LONGEST_WAIT = 60.0
_NOTHING_YET = b"nothing yet"
IN, OUT = 1, 4  # select.EPOLLIN, EPOLLOUT: gevent takes the names away


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

    def __init__(self, wires: "Wires", sock: Any, connected: bool) -> None:
        self._wires = wires
        self._socket = sock
        self._descriptor: int = sock.fileno()
        self._connected = connected
        self._watched = IN if connected else OUT
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
        return self._peek() is not _NOTHING_YET

    def _peek(self) -> bytes | None:
        """What waits to be read; nothing where it has ended, None where it is broken."""
        try:
            return bytes(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return _NOTHING_YET
        except OSError:
            return None

    def close(self) -> None:
        """At once, without a word to the owner."""
        if self._descriptor < 0:
            return
        self.serial += 1
        self._wires.forget(self._descriptor, self._socket)
        self._descriptor = -1
        if self._reader is not None:
            self._reader.release()
        self.exchange = self._reader = None
        self._outgoing = b""

    def ready(self, what: int) -> None:
        """The kernel has something to say."""
        if not self._connected:
            self._finish_connecting()
        elif what & OUT:
            self._send()
        if what & ~OUT and self._connected and self._descriptor >= 0:
            self._receive()

    def _finish_connecting(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            return self._break(f"connecting: {named(error)}")
        self._connected = True
        self._watch(IN)
        self._established()

    def _established(self) -> None:
        if self._outgoing:
            self._send()

    def _send(self) -> None:
        whole, self._outgoing = self._outgoing, b""
        left = self._transmit(whole)
        if len(left) < len(whole):
            self._begun()
        self._outgoing = left

    def _begun(self) -> None:
        exchange = self.exchange
        if exchange is not None and not exchange.begun:
            exchange.begun = True
            self._wires.owner.first_byte_out()

    def _transmit(self, outgoing: bytes) -> bytes:
        """What is left of it. Nothing is left where the connection broke, which the owner is told."""
        try:
            sent = self._socket.send(outgoing)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(f"sending: {named(error.errno)}")
            return b""
        left = outgoing[sent:]
        self._watch(IN | OUT if left else IN)
        return left

    def _watch(self, what: int) -> None:
        if what != self._watched:
            self._watched = what
            self._wires.watch(self._descriptor, what)

    def _receive(self) -> None:
        try:
            received, stamps, _, _ = self._socket.recvmsg(_READ, _STAMP_ROOM)
        except BlockingIOError:
            return
        except OSError as error:
            return self._break(f"receiving: {named(error.errno)}")
        self._take(received, self._arrived(stamps))

    def _arrived(self, stamps: Any) -> float:
        """When the last of these bytes came, as the kernel has noted it: however long we were busy with others, that
        is when they came. Bytes without a note came now, which is what the end of a connection does."""
        now = self._wires.clock()
        if not stamps or len(stamps[0][2]) != _STAMP.size:
            return now
        seconds, nanoseconds = _STAMP.unpack(stamps[0][2])
        waited = time.time() - seconds - nanoseconds / 1e9
        # The machine's clock may have been set in between; then the note is worth nothing.
        return now - waited if 0 < waited < _LONGEST_WAIT else now

    def _take(self, received: bytes, at: float) -> None:
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
            self._complete(reader, max(at, self.exchange.asked))

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


def named(number: int | None) -> str:
    """As the kernel calls it: ECONNRESET."""
    return errno.errorcode.get(number or 0, f"error {number}")

"""A server of known answers, precise, in a process of its own: `python -m loadtests.calibrating.known --port 0`.

It does what the query says (`loadtests/calibrating/programme.py`) and keeps account of what it really did, for a
generator is to be judged by what happened and not by what was asked for: GET /truth says it, POST /truth forgets it. A
Python web stack in its place would be what is measured: with 10,000 sessions it, too, has a queue.

One thread and one epoll. A request was received when the kernel received it, however long we were busy with others or
not running at all: that time is part of its answer, made up for where the answer is not due yet, and told.
"""

import argparse
import heapq
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from itertools import count

from loadtests.calibrating.programme import PATH, ProgrammeMistake, parse
from loadtests.calibrating.truth import Playing, Said, Truth, answer, with_body

_PIECES = 20  # of a body that drips
_RESET = struct.pack("ii", 1, 0)
_READ = select.EPOLLIN | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT
# Linux since 5.1, <asm-generic/socket.h>: SO_TIMESTAMPNS_NEW, a note of seconds and nanoseconds beside what is read.
_SO_TIMESTAMPNS_NEW = 64
_STAMP = struct.Struct("qq")
_STAMP_ROOM = socket.CMSG_SPACE(_STAMP.size)
_LONGEST_WAIT = 60.0
_FINE_SECONDS = 0.05  # epoll waits whole milliseconds; the last ones before an answer is due are waited for by select


class Caller:
    """One connection. `busy` while its request is being answered; what comes meanwhile waits in `inbox`."""

    __slots__ = ("busy", "closing", "inbox", "outbox", "sent", "socket", "then", "writing")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.inbox = b""
        self.outbox = b""
        self.sent = 0.0
        self.busy = self.closing = self.writing = False
        self.then: Callable[[], None] | None = None  # when the outbox is empty


class Server:
    """Answers on `listener` until `stop`."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._callers: dict[int, Caller] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._playing: dict[str, Playing] = {}
        self._stopping = False
        self.truth = Truth()
        self.address: tuple[str, int] = listener.getsockname()[:2]

    def stop(self, *_: object) -> None:
        self._stopping = True

    def serve(self, *, parent: int | None = None) -> None:
        """`parent`: the process with which it ends, however that ends."""
        while not self._stopping and (parent is None or os.getppid() == parent):
            events = self._wait()
            now = time.monotonic()
            for descriptor, event in events:
                self._handle(descriptor, event, now)
            self._fire()

    def _wait(self) -> list[tuple[int, int]]:
        left = self._timers[0][0] - time.monotonic() if self._timers else 1.0
        if left > _FINE_SECONDS:
            return self._epoll.poll(min(1.0, left - _FINE_SECONDS / 2))
        if left > 0:
            select.select([self._epoll.fileno()], (), (), left)
        return self._epoll.poll(0)

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _at(self, moment: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (moment, next(self._order), call))

    def _handle(self, descriptor: int, event: int, now: float) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
            return
        caller = self._callers.get(descriptor)
        if caller is None:
            return
        if event & _WRITE:
            self._send(caller)
        if event & (select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
            self._read(caller, now)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of descriptors: those who wait are taken when others have gone
                print(f"known: {error}", file=sys.stderr)  # noqa: T201
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._callers[accepted.fileno()] = Caller(accepted)
            self._epoll.register(accepted.fileno(), _READ)
            self.truth.accepted += 1

    def _read(self, caller: Caller, now: float) -> None:
        stamps: list[tuple[int, int, bytes]] = []
        try:
            got, stamps, _, _ = caller.socket.recvmsg(65_536, _STAMP_ROOM)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self._close(caller)
            return
        caller.inbox += got
        if not caller.busy:
            self._next(caller, _received(stamps, now))

    def _next(self, caller: Caller, now: float) -> None:
        """Begin with the request in the inbox, if it is whole."""
        head, end, body = caller.inbox.partition(b"\r\n\r\n")
        length = _content_length(head)
        if not end or len(body) < length:
            return
        caller.inbox = body[length:]
        caller.busy = True
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        path, _, query = target.partition("?")
        if path == PATH:
            self._play(caller, query, now)
        elif path == "/truth":
            self._tell(caller, method)
        else:
            self._say(caller, answer("404", 2))

    def _play(self, caller: Caller, query: str, now: float) -> None:
        playing = self._playing.get(query)
        if playing is None:
            try:
                playing = self._playing[query] = Playing(parse(query), now)
            except ProgrammeMistake as mistake:
                self._say(caller, with_body(b"400 Bad Request", str(mistake).encode()))
                return
        self.truth.received += 1
        planned = next(playing.draws)
        if planned.kind == "hang":
            self._said(playing.programme.name).kinds["hang"] += 1
            return
        due = playing.began + playing.programme.due(received=now - playing.began, seconds=planned.seconds)
        if due <= now:
            self._answer(caller, playing, planned.kind, now, due)
        else:
            self._at(due, lambda: self._answer(caller, playing, planned.kind, now, due))

    def _answer(self, caller: Caller, playing: Playing, kind: str, received: float, due: float) -> None:
        if caller.closing:
            return
        self.truth.lag.record(time.monotonic() - due)
        said = self._said(playing.programme.name)

        def done() -> None:
            said.kinds[kind] += 1
            right = kind == "200"
            (said.right if right else said.wrong).record(caller.sent - received)
            if right or kind.isdecimal():
                self._ready(caller)
            else:
                self._close(caller, rudely=kind == "reset")

        whole = playing.body(kind)
        if kind == "200" and playing.programme.slow:
            self._drip(caller, whole, time.monotonic(), playing.programme.slow, done)
        else:
            self._say(caller, whole, done)

    def _drip(self, caller: Caller, whole: bytes, began: float, seconds: float, done: Callable[[], None]) -> None:
        """The head at once, the body's pieces one after the other; the last of them after `seconds`."""
        head, end, body = whole.partition(b"\r\n\r\n")
        size = max(1, -(-len(body) // _PIECES))
        pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        self._say(caller, head + end, lambda: None)
        for number, piece in enumerate(pieces, start=1):
            then = done if number == len(pieces) else lambda: None
            moment = began + seconds * number / len(pieces)
            self._at(moment, lambda piece=piece, then=then: self._say(caller, piece, then))  # type: ignore[misc]

    def _tell(self, caller: Caller, method: str) -> None:
        if method == "POST":
            self.truth = Truth()
            self._playing.clear()
        text = json.dumps(self.truth.as_json(len(self._callers))).encode()
        self._say(caller, with_body(b"200 OK", text, b"application/json"))

    def _said(self, name: str) -> Said:
        said = self.truth.said.get(name)
        if said is None:
            said = self.truth.said[name] = Said()
        return said

    def _say(self, caller: Caller, what: bytes, then: Callable[[], None] | None = None) -> None:
        if caller.closing:
            return
        caller.outbox += what
        caller.then = then or (lambda: self._ready(caller))
        self._send(caller)

    def _send(self, caller: Caller) -> None:
        # Taken before: whom we answer may well run before we do again.
        caller.sent = time.monotonic()
        try:
            written = caller.socket.send(caller.outbox) if caller.outbox else 0
        except BlockingIOError:
            written = 0
        except OSError:
            self._close(caller)
            return
        caller.outbox = caller.outbox[written:]
        if bool(caller.outbox) != caller.writing:
            caller.writing = not caller.writing
            self._epoll.modify(caller.socket.fileno(), _READ | _WRITE if caller.writing else _READ)
        then = caller.then
        if then is not None and not caller.outbox:
            caller.then = None
            then()

    def _ready(self, caller: Caller) -> None:
        caller.busy = False
        if caller.inbox:
            self._next(caller, time.monotonic())

    def _close(self, caller: Caller, *, rudely: bool = False) -> None:
        if caller.closing:
            return
        caller.closing = True
        del self._callers[caller.socket.fileno()]
        if rudely:
            caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        caller.socket.close()


def _received(stamps: list[tuple[int, int, bytes]], woken: float) -> float:
    """When the kernel received these bytes; without its note, and when the clock was set meanwhile, when it woke us."""
    if not stamps or len(stamps[0][2]) != _STAMP.size:
        return woken
    seconds, nanoseconds = _STAMP.unpack(stamps[0][2])
    waited = time.time() - seconds - nanoseconds / 1e9
    return time.monotonic() - waited if 0 < waited < _LONGEST_WAIT else woken


def _content_length(head: bytes) -> int:
    if head.startswith(b"GET "):
        return 0
    found = head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0].strip()
    return int(found) if found.isdigit() else 0


def listening(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), backlog=65_535, family=socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW, 1)  # what it accepts has it as well
    return listener


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true", help="end with the process that started it")
    options = parser.parse_args()
    parent = os.getppid() if options.with_parent else None  # before it is told where we are, and may go
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(listening(options.host, options.port))
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, server.stop)
    print(json.dumps({"url": f"http://{server.address[0]}:{server.address[1]}", "pid": os.getpid()}), flush=True)  # noqa: T201
    server.serve(parent=parent)


if __name__ == "__main__":
    main()

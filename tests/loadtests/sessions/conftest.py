"""A server that does to the byte what a test says, and an engine driven against it until everybody has left."""

import socket
import socketserver
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from loadtests.frames import Frame, Recorder, Tally
from loadtests.sessions import Engine, seconds_since
from loadtests.steps import Ending, Journey, Outcome
from loadtests.target import Target
from tests.served import served

DEADLINE_SECONDS = 60.0


class Wire:
    """A connection as the server has it."""

    def __init__(self, server: "RawServer", accepted: socket.socket) -> None:
        self._server = server
        self.socket = accepted
        self._kept = b""

    def request(self) -> bytes:
        """The next whole request, or nothing when the other side has left."""
        while b"\r\n\r\n" not in self._kept:
            if not self._more():
                return b""
        head, _, rest = self._kept.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        while len(rest) < length:
            if not self._more():
                return b""
            rest = self._kept.partition(b"\r\n\r\n")[2]
        self._kept = rest[length:]
        with self._server.lock:
            self._server.requests.append(head + b"\r\n\r\n" + rest[:length])
        return self._server.requests[-1]

    def send(self, answer: bytes) -> None:
        self.socket.sendall(answer)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        try:
            received = self.socket.recv(65_536)
        except OSError:
            return False
        self._kept += received
        return bool(received)


Play = Callable[[Wire, int], None]


class RawServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, play: Play, trust: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.play, self.trust = play, trust
        self.lock = threading.Lock()
        self.connections = 0
        self.requests: list[bytes] = []
        self.finished = threading.Event()

    @property
    def target(self) -> Target:
        return Target("https" if self.trust else "http", "127.0.0.1", self.server_address[1], "127.0.0.1")

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor who leaves in the middle is nothing to print."""


class _Handler(socketserver.BaseRequestHandler):
    server: RawServer

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections += 1
            number = self.server.connections
        accepted = self.request
        if self.server.trust is not None:
            accepted = self.server.trust.wrap_socket(accepted, server_side=True)
        with accepted:
            self.server.play(Wire(self.server, accepted), number)


Serve = Callable[..., AbstractContextManager[RawServer]]


@pytest.fixture
def serve() -> Serve:
    @contextmanager
    def serving(play: Play, trust: ssl.SSLContext | None = None) -> Iterator[RawServer]:
        server = RawServer(play, trust)
        with served(server):
            try:
                yield server
            finally:
                server.finished.set()

    return serving


@dataclass
class Driven:
    """What a run left behind: everything in one frame, and how each visitor ended."""

    frame: Frame
    endings: list[Ending]
    tallies: dict[str, Tally]
    in_flight: int
    errors: Counter[str] = field(default_factory=Counter)

    def outcomes(self, step: str = "step") -> dict[str, int]:
        return {outcome.value: count for outcome, count in self.tallies[step].outcomes.items()}


Drive = Callable[..., Driven]


@pytest.fixture
def drive() -> Drive:
    def run(
        target: Target,
        *journeys: Journey,
        meanwhile: Callable[[Engine], None] = lambda engine: None,
        at: list[float] | None = None,
        **options: Any,
    ) -> Driven:
        recorder = Recorder(worker=1, clock=seconds_since(time.time()))
        settings = {"request_timeout": 30.0, "connections": 2, "time_scale": 1.0, "expected": {"*": 0.0}, **options}
        engine = Engine(target=target, recorder=recorder, **settings)
        endings: list[Ending] = []
        try:
            for number, journey in enumerate(journeys):
                moment = at[number] if at else recorder.clock()
                engine.begin(journey, scenario="test", intended=moment, done=endings.append)
            meanwhile(engine)
            while len(endings) < len(journeys):
                engine.turn(0.5)
                assert recorder.clock() < DEADLINE_SECONDS, "the journeys did not come to an end"
            frame = recorder.close_second(at=0, cpu=0.0, rss_bytes=0, connections=engine.connections)
        finally:
            engine.close()
        demand_that_the_books_agree(frame)
        errors = Counter({error: count for (_, _, error), count in frame.errors.items()})
        return Driven(frame, endings, frame.tallies, recorder.in_flight, errors)

    return run


def demand_that_the_books_agree(frame: Frame) -> None:
    """Whatever the server did: each whole answer has an outcome, and each outcome was sent or never went out."""
    outcomes = Counter[Outcome]()
    for tally in frame.tallies.values():
        outcomes.update(tally.outcomes)
    assert frame.received == outcomes[Outcome.SUCCESS] + outcomes[Outcome.UNTRUE] + frame.unfit
    assert frame.sent + frame.unsent == outcomes.total() + frame.notes["requests cut off by the end"]


def answer(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(what: bytes) -> Play:
    """Every request gets this answer."""

    def play(wire: Wire, number: int) -> None:
        while wire.request():
            wire.send(what)

    return play

"""A target that resets, hangs, drips, talks rubbish or closes: counted as what it is, and nothing is sent twice that
may have been taken."""

import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from loadtests import sessions
from loadtests.sessions import Engine
from loadtests.steps import Answer, Ending, Journey, Step, Think, Together
from loadtests.target import Target
from tests.deadline import until
from tests.loadtests.sessions.conftest import Drive, Play, Serve, Wire, always, answer


def asks(*methods: str) -> Journey:
    for method in methods:
        yield Step("step", method, "/", body=b"form" if method == "POST" else b"")


def plays(what: bytes, *, then: str = "close") -> Play:
    """To the first request this; then the connection ends, or nothing more comes."""

    def play(wire: Wire, number: int) -> None:
        wire.request()
        wire.send(what)
        if then == "reset":
            wire.reset()
        elif then == "hang":
            wire.request()  # until the visitor leaves

    return play


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (plays(b""), "the connection was closed without an answer"),
        (
            plays(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "the connection was closed in the middle of an answer",
        ),
        (plays(b"HTTP/1.1 200 OK\r\nContent-Le"), "the connection was closed in the middle of an answer"),
        (plays(b"", then="reset"), "receiving: ECONNRESET"),
        (plays(b"\x00\x16\x03 rubbish\r\n\r\n", then="hang"), "no HTTP answer: Expected HTTP/"),
        (
            plays(b"HTTP/1.1 200 OK\r\n" + b"X-Long: %s\r\n" % (b"a" * 300_000), then="hang"),
            "a head of more than 262144 bytes",
        ),
        (
            plays(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", then="hang"),
            "status 101, expected 200",
        ),
        (plays(answer(b"not gzip", "Content-Encoding: gzip")), "the content coding cannot be undone"),
        (plays(answer(b"?", "Content-Encoding: br")), "a content coding nobody asked for: 'br'"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(serve: Serve, drive: Drive, play: Play, error: str) -> None:
    with serve(play) as server:
        driven = drive(server.target, asks("GET"))
    assert driven.outcomes() == {"failure": 1}
    assert next(iter(driven.errors)).startswith(error)
    assert driven.endings == [Ending.GAVE_UP]
    assert (driven.in_flight, driven.frame.connections, len(server.requests)) == (0, 0, 1)


@pytest.mark.parametrize("then", ["hang", "drip"])
def test_an_answer_that_does_not_come_to_its_end_in_time_is_a_time_out(serve: Serve, drive: Drive, then: str) -> None:
    def drips(wire: Wire, number: int) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not server.finished.wait(0.02):
            wire.send(b".")

    with serve(drips if then == "drip" else plays(b"", then="hang")) as server:
        driven = drive(server.target, asks("GET"), request_timeout=0.3)
    assert driven.outcomes() == {"timeout": 1}
    assert driven.errors == {"no answer within 0.3 s": 1}
    assert (driven.tallies["step"].wrong.percentile_ms(50) or 0) >= 300
    assert driven.tallies["step"].service.count == 0
    assert driven.in_flight == 0


def test_an_answer_that_drips_is_right_when_it_ends_in_time(serve: Serve, drive: Drive) -> None:
    def drips(wire: Wire, number: int) -> None:
        wire.request()
        for byte in answer(b"slowly"):
            wire.send(bytes([byte]))

    with serve(drips) as server:
        driven = drive(server.target, asks("GET"))
    assert driven.outcomes() == {"success": 1}


def test_rubbish_after_an_answer_spoils_its_connection_and_not_the_answer(serve: Serve, drive: Drive) -> None:
    with serve(always(answer() + b"more than told")) as server:
        driven = drive(server.target, asks("GET", "GET"))
    assert driven.outcomes() == {"success": 2}
    assert driven.frame.notes == {"bytes that nobody asked for": 2}
    assert server.connections == 2


def closes_the_second_time(first: int) -> Play:
    """The first connections answer once, take another request, and close without a word to it."""

    def play(wire: Wire, number: int) -> None:
        while wire.request():
            wire.send(answer())
            if number <= first:
                wire.request()
                return

    return play


def test_a_kept_connection_that_ends_as_it_is_used_is_opened_again_for_what_is_only_read_and_that_is_noted(
    serve: Serve, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_CROSSED_SECONDS", 60.0)  # a busy machine closes late
    with serve(closes_the_second_time(1)) as server:
        driven = drive(server.target, asks("GET", "GET"))
    assert driven.outcomes() == {"success": 2}
    assert driven.frame.notes == {sessions.AGAIN: 1}
    assert (server.connections, driven.frame.connects, driven.frame.sent) == (2, 2, 2)


def test_a_target_that_had_the_request_and_died_on_it_has_failed(serve: Serve, drive: Drive) -> None:
    def play(wire: Wire, number: int) -> None:
        wire.request()
        wire.send(answer())
        wire.request()
        wire._server.finished.wait(4 * sessions._CROSSED_SECONDS)  # it works on the second, and crashes

    with serve(play) as server:
        driven = drive(server.target, asks("GET", "GET"))
    assert driven.outcomes() == {"success": 1, "failure": 1}
    assert driven.errors == {"the connection was closed without an answer, kept from an earlier request": 1}
    assert (server.connections, driven.frame.notes) == (1, {})


def test_what_happens_to_many_is_no_coincidence(serve: Serve, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_CROSSED_SECONDS", 60.0)
    with serve(closes_the_second_time(100)) as server:
        driven = drive(server.target, *(asks("GET", "GET") for _ in range(30)))
    again = driven.frame.notes[sessions.AGAIN]
    assert again <= sessions._CROSSED_FREE + 1
    assert driven.outcomes() == {"success": 30 + again, "failure": 30 - again}


def test_what_is_posted_is_never_sent_twice(serve: Serve, drive: Drive) -> None:
    with serve(closes_the_second_time(1)) as server:
        driven = drive(server.target, asks("GET", "POST"))
    assert driven.outcomes() == {"success": 1, "failure": 1}
    assert driven.errors == {"the connection was closed without an answer, kept from an earlier request": 1}
    assert [request[:4] for request in server.requests] == [b"GET ", b"POST"]


def test_a_first_connection_that_is_closed_is_a_failure_and_not_tried_again(serve: Serve, drive: Drive) -> None:
    with serve(plays(b"")) as server:
        driven = drive(server.target, asks("GET"))
    assert driven.outcomes() == {"failure": 1}
    assert server.connections == 1


def test_a_connection_closed_while_its_visitor_sleeps_is_opened_again_for_a_form(serve: Serve, drive: Drive) -> None:
    closed = threading.Event()

    def play(wire: Wire, number: int) -> None:
        if wire.request():
            wire.send(answer())
            wire.socket.shutdown(socket.SHUT_RDWR)
        closed.set()

    def journey() -> Journey:
        yield Step("step", "GET", "/")
        until(closed.is_set, "the server closed")  # the engine hears of it only when it is asked to post
        yield Step("step", "POST", "/", body=b"form")

    with serve(play) as server:
        driven = drive(server.target, journey())
    assert driven.outcomes() == {"success": 2}
    assert (server.connections, len(server.requests)) == (2, 2)


def test_nobody_there(drive: Drive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    driven = drive(Target("http", "127.0.0.1", port, "127.0.0.1"), asks("GET"))
    assert driven.errors == {"connecting: ECONNREFUSED": 1}
    assert (driven.frame.sent, driven.frame.received, driven.in_flight) == (0, 0, 0)


def test_a_machine_without_descriptors_says_so(serve: Serve, drive: Drive) -> None:
    """Its negative control is every other test: with descriptors, no note."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def spend(engine: Engine) -> None:
        used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(used, 3), hard))

    with serve(always(answer())) as server:
        try:
            driven = drive(server.target, asks("GET"), asks("GET"), meanwhile=spend)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert driven.frame.notes == {"out of descriptors": 2}
    assert driven.errors == {"connecting: out of descriptors": 2}
    assert driven.endings == [Ending.GAVE_UP] * 2


def test_together_is_at_once_over_few_connections_and_comes_back_in_order(serve: Serve, drive: Drive) -> None:
    both = threading.Barrier(2)

    def play(wire: Wire, number: int) -> None:
        while request := wire.request():
            path = request.split(b" ")[1]
            if path in (b"/0", b"/1"):
                both.wait(30)  # each is answered only while the other is being asked
            wire.send(answer(path, status="404 Not Found" if path == b"/3" else "200 OK"))

    got: list[list[Answer | None]] = []

    def journey() -> Journey:
        got.append((yield Together(tuple(Step(f"part.{number}", "GET", f"/{number}") for number in range(5)))))
        got.append((yield Together(())))
        yield Step("step", "GET", "/after")

    with serve(play) as server:
        driven = drive(server.target, journey())
    assert [one and one.text for one in got[0]] == ["/0", "/1", "/2", None, "/4"]
    assert got[1] == []
    assert driven.endings == [Ending.FINISHED]
    assert (server.connections, driven.frame.connections) == (2, 0)
    assert driven.outcomes("part.3") == {"failure": 1}


def test_a_page_whose_parts_all_fail_ends_nobodys_visit(drive: Drive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    got: list[list[Answer | None]] = []

    def journey() -> Journey:
        got.append((yield Together(tuple(Step("part", "GET", "/") for _ in range(500)))))

    driven = drive(Target("http", "127.0.0.1", port, "127.0.0.1"), journey())
    assert got == [[None] * 500]
    assert (driven.outcomes("part"), driven.endings) == ({"failure": 500}, [Ending.FINISHED])


def test_everybody_leaves_at_once(serve: Serve, drive: Drive) -> None:
    """One waits for an answer, one sleeps, one was about to come: none is in a figure, all are in the endings."""
    closed: list[str] = []

    def waits() -> Journey:
        try:
            yield Step("step", "GET", "/")
        finally:
            closed.append("waits")

    def sleeps() -> Journey:
        yield Think(1e6)

    def leave(engine: Engine) -> None:
        engine.at(0.0, lambda: None)
        deadline = time.monotonic() + 30
        while not server.requests and time.monotonic() < deadline:
            engine.turn(0.05)
        engine.leave_all(Ending.CUT_OFF)

    with serve(plays(b"", then="hang")) as server:
        driven = drive(server.target, waits(), sleeps(), asks("GET"), meanwhile=leave, at=[0.0, 0.0, 1e6])
    assert driven.endings == [Ending.CUT_OFF] * 3
    assert closed == ["waits"]
    assert (driven.tallies, driven.in_flight, driven.frame.connections) == ({}, 0, 0)
    assert driven.frame.notes == {"requests cut off by the end": 1}
    assert driven.frame.sent == 1


def test_connections_are_made_from_several_addresses_in_turn(serve: Serve, drive: Drive) -> None:
    """One address has 28,000 ports to one target."""
    seen: list[str] = []

    def play(wire: Wire, number: int) -> None:
        seen.append(wire.socket.getpeername()[0])
        while wire.request():
            wire.send(answer())

    with serve(play) as server:
        four = [asks("GET") for _ in range(4)]
        driven = drive(server.target, *four, sources=("127.0.0.2", "127.0.0.3"))
    assert driven.outcomes() == {"success": 4}
    assert sorted(seen) == ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2


def test_a_source_that_is_none_of_this_machines_addresses_is_said(serve: Serve, drive: Drive) -> None:
    with serve(always(answer())) as server:
        driven = drive(server.target, asks("GET"), sources=("192.0.2.1",))
    assert driven.outcomes() == {"failure": 1}
    assert (driven.frame.sent, server.requests) == (0, [])

"""What an answer may look like, and what a journey is given of it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from loadtests.browsing import reading
from loadtests.steps import Answer, Ending, GaveUp, Journey, Step, Think, Untrue, claim
from tests.loadtests.sessions.conftest import Drive, Serve, Wire, always, answer


def asking(*steps: Step, into: list[Answer | None]) -> Journey:
    for step in steps:
        into.append((yield step))


def get(path: str = "/", **changes: object) -> Step:
    return Step("step", "GET", path, **changes)  # type: ignore[arg-type]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\n\r\n"
WHOLE = {
    "length": (answer(b"abcde"), b"abcde"),
    "chunks": (CHUNKED, b"abcde"),
    "gzip": (answer(gzip.compress(b"abcde"), "Content-Encoding: gzip"), b"abcde"),
    "continued": (b"HTTP/1.1 100 Continue\r\nX-First: 1\r\n\r\n" + answer(b"abcde"), b"abcde"),
    "empty": (answer(b""), b""),
}


@pytest.mark.parametrize("form", WHOLE)
def test_an_answer_is_read_whole_and_its_connection_kept(serve: Serve, drive: Drive, form: str) -> None:
    sent, body = WHOLE[form]
    got: list[Answer | None] = []
    with serve(always(sent)) as server:
        driven = drive(server.target, asking(get(), get("/2"), get("/3"), into=got))
    assert [one and one.body for one in got] == [body] * 3
    assert all(one and "x-first" not in one.headers and "x-late" not in one.headers for one in got)
    assert driven.outcomes() == {"success": 3}
    assert (server.connections, driven.frame.connects, driven.frame.sent, driven.frame.received) == (1, 1, 3, 3)
    assert driven.endings == [Ending.FINISHED]


def test_an_answer_without_a_length_ends_with_its_connection(serve: Serve, drive: Drive) -> None:
    def play(wire: Wire, number: int) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nto the end")

    got: list[Answer | None] = []
    with serve(play) as server:
        driven = drive(server.target, asking(get(), get(), into=got))
    assert [one and one.text for one in got] == ["to the end"] * 2
    assert driven.outcomes() == {"success": 2}
    assert server.connections == 2


@pytest.mark.parametrize(
    ("method", "sent", "status"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 200),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    ],
)
def test_answers_without_a_body_keep_their_connection(
    serve: Serve, drive: Drive, method: str, sent: bytes, status: int
) -> None:
    got: list[Answer | None] = []
    with serve(always(sent)) as server:
        driven = drive(server.target, asking(*[Step("step", method, "/", expect=(status,))] * 3, into=got))
    assert [one and (one.status, one.body) for one in got] == [(status, b"")] * 3
    assert driven.outcomes() == {"success": 3}
    assert server.connections == 1


def test_a_server_that_closes_is_believed(serve: Serve, drive: Drive) -> None:
    with serve(always(answer(b"ok", "Connection: close"))) as server:
        driven = drive(server.target, asking(get(), get(), into=[]))
    assert driven.outcomes() == {"success": 2}
    assert server.connections == 2


def test_headers_come_in_lower_case_and_each_cookie_alone(serve: Serve, drive: Drive) -> None:
    got: list[Answer | None] = []
    sent = answer(b"", "X-Some-Header: Value", "Set-Cookie: a=1", "Set-Cookie: b=2; Path=/")
    with serve(always(sent)) as server:
        drive(server.target, asking(get("/somewhere?x=1"), into=got))
    assert got[0] is not None
    assert (got[0].headers["x-some-header"], got[0].cookies, got[0].path) == (
        "Value",
        ("a=1", "b=2; Path=/"),
        "/somewhere?x=1",
    )


def test_what_is_sent_is_what_the_step_says(serve: Serve, drive: Drive) -> None:
    step = Step("step", "POST", "/signup/", headers={"Accept": "text/html"}, body=b"email=a")
    with serve(always(answer())) as server:
        drive(server.target, asking(step, into=[]))
        host = f"127.0.0.1:{server.target.port}"
    head = f"POST /signup/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nContent-Length: 7\r\n\r\nemail=a"
    assert server.requests == [head.encode()]


def test_a_wrong_status_ends_the_visit_and_one_that_is_not_needed_does_not(serve: Serve, drive: Drive) -> None:
    got: list[Answer | None] = []
    with serve(always(answer(status="503 Busy"))) as server:
        driven = drive(server.target, asking(get(needed=False), get(), get(), into=got))
    assert got == [None]
    assert driven.endings == [Ending.GAVE_UP]
    assert driven.errors == {"status 503, expected 200": 2}
    assert len(server.requests) == 2
    assert driven.tallies["step"].service.count == 0


def test_a_journey_may_live_with_a_failure(serve: Serve, drive: Drive) -> None:
    reasons: list[str] = []

    def patient() -> Journey:
        for _ in range(3):
            try:
                yield get()
            except GaveUp as error:
                reasons.append(str(error))
            yield Think(0.0)

    with serve(always(answer(status="500 Oh"))) as server:
        driven = drive(server.target, patient())
    assert driven.endings == [Ending.FINISHED]
    assert driven.outcomes() == {"failure": 3}
    assert reasons == ["step"] * 3


def test_an_answer_that_is_not_true_is_told_as_such_without_secrets(serve: Serve, drive: Drive) -> None:
    def check(answer: Answer) -> None:
        claim(answer.text != "a lie", "the page at /i/secret-token/terms/ lies")

    with serve(always(answer(b"a lie"))) as server:
        driven = drive(server.target, asking(get(check=check), into=[]))
    assert driven.outcomes() == {"untrue": 1}
    assert driven.errors == {"the page at /i/…/terms/ lies": 1}
    assert driven.frame.received == 1


def test_a_check_that_stumbles_over_an_answer_finds_it_untrue(serve: Serve, drive: Drive) -> None:
    def check(answer: Answer) -> None:
        if answer.json()["missing"]:
            raise Untrue("never reached")

    with serve(always(answer(b"{}"))) as server:
        driven = drive(server.target, asking(get(check=check), into=[]))
    assert driven.errors == {"KeyError: 'missing'": 1}


def test_a_scenario_with_a_defect_ends_its_own_visitor_only(
    serve: Serve, drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    def defective() -> Iterator[object]:
        yield get()
        raise ZeroDivisionError("a defect")

    def strange() -> Iterator[object]:
        yield "no step"

    with serve(always(answer())) as server:
        driven = drive(server.target, defective(), strange(), asking(get(), get(), into=[]))
    assert sorted(ending.value for ending in driven.endings) == ["finished", "gave_up", "gave_up"]
    assert set(driven.frame.notes) == {
        "a scenario broke: ZeroDivisionError: a defect",
        "a scenario broke: TypeError: a journey yields steps, not str",
    }
    assert "a journey yields steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    "step",
    [
        get("/a\r\nX-Evil: 1"),
        get("/a b"),
        get("http://elsewhere/"),
        get("/", headers={"X-A": "1\r\n\r\nGET /evil HTTP/1.1"}),
        get("/", headers={"X-A": "\N{SNOWMAN}"}),
    ],
)
def test_what_would_be_another_request_is_not_sent(serve: Serve, drive: Drive, step: Step) -> None:
    with serve(always(answer())) as server:
        driven = drive(server.target, asking(step, into=[]), asking(get(), into=[]))
    assert driven.outcomes() == {"failure": 1, "success": 1}
    assert len(server.requests) == driven.frame.sent == 1


def test_what_many_answers_hold_at_once_is_bounded(serve: Serve, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is within its bound; all together would take the generator along."""
    monkeypatch.setattr(reading, "HELD_AT_ONCE", 100_000)
    coming = threading.Barrier(3)

    def play(wire: Wire, number: int) -> None:
        while wire.request():
            whole = answer(b"x" * 60_000)
            wire.send(whole[:-1])
            with suppress(threading.BrokenBarrierError):
                coming.wait(30.0)
            wire.send(whole[-1:])

    def journey() -> Journey:
        yield Step("step", "GET", "/", needed=False)

    with serve(play) as server:
        driven = drive(server.target, journey(), journey(), journey(), request_timeout=60.0)
    assert driven.outcomes()["failure"] >= 1
    assert set(driven.errors) == {"answers of more than 100000 bytes at once"}


def test_little_that_becomes_much_is_not_undone(serve: Serve, drive: Drive) -> None:
    bomb = gzip.compress(b"0" * (reading.LONGEST_PLAIN + 1))

    def journey() -> Journey:
        yield Step("step", "GET", "/")

    with serve(always(answer(bomb, "Content-Encoding: gzip"))) as server:
        driven = drive(server.target, journey())
    assert driven.errors == {"a coded body that is cut off or too long": 1}


def test_what_was_held_is_given_back() -> None:
    held = reading.Held()
    reader = reading.Reader(held)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
    assert held.size == 3
    reader.release()
    reader.release()
    assert held.size == 0

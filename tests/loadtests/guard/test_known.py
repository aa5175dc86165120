"""The small precise server does what its address says, and tells what it did."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import BadStatusLine, HTTPConnection, IncompleteRead, LineTooLong, RemoteDisconnected
from urllib.parse import urlsplit

import pytest

from loadtests.calibrating import known_server
from loadtests.calibrating.known_server import KnownServer
from tests.deadline import until


@pytest.fixture(scope="module")
def known() -> Iterator[KnownServer]:
    with known_server.running() as server:
        yield server


@pytest.fixture
def ask(known: KnownServer) -> Iterator[Callable[..., tuple[int, bytes, float]]]:
    """Asks over one kept connection: status, body, seconds."""
    known.forget()
    connection = HTTPConnection(urlsplit(known.url).netloc, timeout=60)

    def asked(programme: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes, float]:
        began = time.monotonic()
        address = urlsplit(known.address(programme))
        connection.request(method, f"{address.path}?{address.query}", body=body)
        response = connection.getresponse()
        return response.status, response.read(), time.monotonic() - began

    yield asked
    connection.close()


def test_it_answers_when_it_was_told_to_and_says_when_it_did(
    known: KnownServer, ask: Callable[..., tuple[int, bytes, float]]
) -> None:
    found = [ask("latency=constant:30ms&size=100&name=thirty") for _ in range(5)]
    assert {(status, body) for status, body, _ in found} == {(200, b"." * 100)}
    assert min(seconds for _, _, seconds in found) >= 0.03
    truth = known.truth()
    said = truth["by"]["thirty"]
    assert (said["answers"], truth["received"]) == ({"200": 5}, 5)
    # Its own lateness is in what it says: never less than was programmed, never more than was seen.
    assert said["right_ms"]["min"] >= 30.0
    assert said["right_ms"]["max"] <= max(seconds for _, _, seconds in found) * 1e3 * 1.002


def test_a_kept_connection_serves_forms_as_well(ask: Callable[..., tuple[int, bytes, float]]) -> None:
    assert [ask("name=form", "POST", b"x" * 9_000)[0] for _ in range(3)] == [200, 200, 200]


def test_errors_are_fast_and_apart(known: KnownServer, ask: Callable[..., tuple[int, bytes, float]]) -> None:
    statuses = [ask("latency=constant:30ms&answers=503*50&draw=even&name=half")[0] for _ in range(10)]
    said = known.truth()["by"]["half"]
    assert said["answers"] == {"200": statuses.count(200), "503": statuses.count(503)}
    assert 3 <= statuses.count(503) <= 7
    assert said["right_ms"]["min"] >= 30.0
    assert said["wrong_ms"]["min"] < 30.0


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("close", RemoteDisconnected),
        ("reset", ConnectionResetError),
        ("half", IncompleteRead),
        ("garbage", BadStatusLine),
        ("headers", LineTooLong),
    ],
)
def test_faults_are_what_they_are_called(
    known: KnownServer, ask: Callable[..., tuple[int, bytes, float]], fault: str, seen: type[Exception]
) -> None:
    with pytest.raises(seen):
        ask(f"answers={fault}*100&size=100&name=faulty")
    until(lambda: known.truth()["by"]["faulty"]["answers"] == {fault: 1}, "the fault is counted")


def test_what_hangs_is_never_answered(known: KnownServer) -> None:
    address = urlsplit(known.address("answers=hang*100&name=hanging"))
    with socket.create_connection((address.hostname or "", address.port or 0)) as caller:
        caller.sendall(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: known.truth()["by"].get("hanging", {}).get("answers") == {"hang": 1}, "it hangs")
        caller.setblocking(False)
        with pytest.raises(BlockingIOError):
            caller.recv(1)


def test_a_body_drips_and_the_clock_runs_until_its_end(
    known: KnownServer, ask: Callable[..., tuple[int, bytes, float]]
) -> None:
    status, body, seconds = ask("latency=constant:10ms&slow=200ms&size=1000&name=slow")
    assert (status, body) == (200, b"." * 1000)
    assert seconds >= 0.21
    assert known.truth()["by"]["slow"]["right_ms"]["min"] >= 210.0


def test_a_freeze_holds_everybody(known: KnownServer, ask: Callable[..., tuple[int, bytes, float]]) -> None:
    programme = "freeze=300ms@0s&name=frozen"
    others = [threading.Thread(target=_asked_alone, args=(known, programme)) for _ in range(3)]
    began = time.monotonic()
    for other in others:
        other.start()
    ask(programme)
    for other in others:
        other.join()
    assert time.monotonic() - began >= 0.3
    said = known.truth()["by"]["frozen"]
    assert said["answers"] == {"200": 4}
    assert said["right_ms"]["max"] >= 290.0


def _asked_alone(known: KnownServer, programme: str) -> None:
    address = urlsplit(known.address(programme))
    connection = HTTPConnection(address.netloc, timeout=60)
    connection.request("GET", f"{address.path}?{address.query}")
    connection.getresponse().read()
    connection.close()


def test_time_in_which_it_did_not_run_is_told(known: KnownServer) -> None:
    """A request that came while the server was held up was received when it came, not when it was read."""
    known.forget()
    address = urlsplit(known.address("name=held"))
    with socket.create_connection((address.hostname or "", address.port or 0)) as caller:
        os.kill(known.pid, signal.SIGSTOP)
        try:
            caller.sendall(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sent = time.monotonic()
            time.sleep(0.2)  # the stall that is to be seen
            stalled = time.monotonic() - sent
        finally:
            os.kill(known.pid, signal.SIGCONT)
        assert caller.recv(1_000).startswith(b"HTTP/1.1 200")
        whole = time.monotonic() - sent
    told = known.truth()["by"]["held"]["right_ms"]["max"] / 1e3
    assert stalled * 0.999 <= told <= whole * 1.002 + 0.001


def test_a_mistake_is_answered_and_the_connection_stays(ask: Callable[..., tuple[int, bytes, float]]) -> None:
    status, body, _ = ask("latency=never")
    assert (status, b"is none of constant" in body) == (400, True)
    assert ask("name=after")[0] == 200

"""When a request begins and ends: service from the asking to the last byte, intended from when it was to be asked."""

import json
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from loadtests.browsing.wire import Connection
from loadtests.frames import Recorder
from loadtests.sessions import Engine
from loadtests.steps import Answer, Ending, Journey, Step, Think
from loadtests.target import resolve
from tests.loadtests.sessions.conftest import Drive, Driven, Serve, Wire, always, answer

ROOT = Path(__file__).parents[3]


@contextmanager
def known() -> Iterator[str]:
    """The server of known answers, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "loadtests.calibrating.known", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")["url"]
        finally:
            process.terminate()


def truth(url: str, name: str) -> dict[str, Any]:
    with urlopen(f"{url}/truth") as told:
        return dict(json.load(told)["by"][name])


def forget(url: str) -> None:
    urlopen(Request(f"{url}/truth", method="POST")).close()


def known_step(programme: str, name: str = "step") -> Step:
    return Step(name, "GET", f"/.well-known/known-answer?{programme}&name={name}", needed=False)


def asks_again(step: Step, *, times: int, every: float, first: float = 0.0) -> Journey:
    yield Think(first)
    for _ in range(times):
        yield step
        yield Think(every)


def milliseconds(driven: Driven, clock: str, percentile: float, step: str = "step") -> float:
    return float(getattr(driven.tallies[step], clock).percentile_ms(percentile))


def test_percentiles_are_those_that_the_server_gave(drive: Drive) -> None:
    """A machine that is busy with others delays the server before it looks at its clock: an attempt among those counts
    for nothing, an engine that is wrong is wrong in each."""
    step = known_step("latency=lognormal:100ms,0.6")

    def attempt() -> list[tuple[float, float]]:
        forget(url)
        visitors = [asks_again(step, times=4, every=0.2, first=number / 400) for number in range(200)]
        driven = drive(resolve(url), *visitors)
        said = truth(url, "step")["right_ms"]
        assert driven.outcomes() == {"success": 800} == {"success": said["count"]}
        return [(milliseconds(driven, "service", share), said[f"p{share}"]) for share in (50, 95, 99)]

    attempts: list[list[tuple[float, float]]] = []
    with known() as url:
        while len(attempts) < 6 and not (attempts and close(attempts[-1])):
            attempts.append(attempt())
    assert close(attempts[-1]), attempts


def close(pairs: list[tuple[float, float]]) -> bool:
    return all(abs(ours - theirs) <= max(1.0, 0.02 * theirs) for ours, theirs in pairs)


def test_a_freeze_is_in_the_intended_times_of_all_who_were_kept_waiting(drive: Drive) -> None:
    """Two visitors meet it once each: by service time it is two of 200 answers."""
    step = known_step("latency=constant:5ms&freeze=2s@500ms")
    with known() as url:
        journeys = [asks_again(step, times=100, every=0.01) for _ in range(2)]
        driven = drive(resolve(url), *journeys, expected={"*": 0.01})
    assert milliseconds(driven, "intended", 99) >= 1_500
    assert milliseconds(driven, "service", 95) < 1_000
    assert driven.tallies["step"].service.share_above(1.5) == pytest.approx(0.01)


def test_failing_fast_improves_no_latency(drive: Drive) -> None:
    step = known_step("latency=constant:400ms&answers=503*50&wrong=constant:0s")
    with known() as url:
        driven = drive(resolve(url), *(asks_again(step, times=2, every=0.0) for _ in range(20)))
    tally = driven.tallies["step"]
    assert driven.outcomes() == {"success": tally.service.count, "failure": tally.wrong.count}
    assert tally.wrong.count >= 10
    assert tally.service.summary()["min"] >= 399.0  # type: ignore[operator]
    # Had they been counted among the others, half of all would have been quick.
    assert tally.wrong.percentile_ms(50) < 200.0  # type: ignore[operator]


def asked_while_the_generator_is_busy(serve: Serve, seconds: float) -> float:
    """The service time of an answer that comes at once, in seconds, when its visitor's generator has no time for it."""
    recorder = Recorder(worker=1, clock=time.monotonic)
    endings: list[Ending] = []
    with serve(always(answer())) as server:
        engine = Engine(
            target=server.target, recorder=recorder, request_timeout=30.0, connections=1, time_scale=1.0, expected={}
        )

        def journey() -> Journey:
            yield Step("first", "GET", "/")
            engine.at(0.0, lambda: server.finished.wait(seconds))
            yield Step("second", "GET", "/")

        engine.begin(journey(), scenario="test", intended=recorder.clock(), done=endings.append)
        while not endings:
            engine.turn(1.0)
        engine.close()
    return (recorder.frame.tallies["second"].service.percentile_ms(50) or 0.0) / 1e3


def test_a_busy_generator_does_not_charge_its_own_delay_to_the_target(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked_while_the_generator_is_busy(serve, 1.0) < 0.5
    # Without the kernel's note of when the bytes came, it would.
    monkeypatch.setattr(Connection, "_arrived", lambda connection, stamps: connection._wires.clock())
    assert asked_while_the_generator_is_busy(serve, 0.3) >= 0.3


def by_the_clock(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, takes: list[float], *, late: float = 0.0
) -> list[tuple[float, float]]:
    """(service, intended) of steps that take so long each, by a clock that stands still but for them. 0.1 s is what a
    step is expected to take; nobody thinks in between."""
    now = [100.0]
    monkeypatch.setattr(Connection, "_arrived", lambda connection, stamps: now[0])
    seen: list[tuple[float, float]] = []

    class Noting(Recorder):
        def answered(self, *, service: float, intended: float, **others: Any) -> None:
            seen.append((round(service, 6), round(intended, 6)))
            super().answered(service=service, intended=intended, **others)

    left = iter(takes)

    def play(wire: Wire, number: int) -> None:
        while wire.request():
            now[0] += next(left)
            wire.send(answer())

    def journey() -> Journey:
        for _ in takes:
            yield Step("step", "GET", "/")
            yield Think(0.0)

    endings: list[Ending] = []
    with serve(play) as server:
        engine = Engine(
            target=server.target,
            recorder=Noting(worker=1, clock=lambda: now[0]),
            request_timeout=1e6,
            connections=1,
            time_scale=1.0,
            expected={"*": 0.1},
        )
        engine.begin(journey(), scenario="test", intended=now[0] - late, done=endings.append)
        while not endings:
            engine.turn(0.5)
        engine.close()
    return seen


@pytest.mark.parametrize(
    ("takes", "late", "intended"),
    [
        ([0.02, 0.02, 0.02], 0.0, [0.02, 0.02, 0.02]),  # nobody is credited with having been fast
        ([0.3, 0.1, 0.04, 0.5], 0.0, [0.3, 0.3, 0.24, 0.64]),  # 0.2 late, still 0.2, then 0.14
        ([0.02, 0.02, 0.02], 0.15, [0.17, 0.09, 0.02]),  # begun late, caught up by being fast
    ],
)
def test_the_intended_start_is_that_of_the_step_before_and_what_was_expected(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, takes: list[float], late: float, intended: list[float]
) -> None:
    seen = by_the_clock(serve, monkeypatch, takes, late=late)
    assert [service for service, _ in seen] == takes
    assert [value for _, value in seen] == pytest.approx(intended)


def test_thinking_is_scaled_and_slept_to_the_millisecond(serve: Serve, drive: Drive) -> None:
    woken: list[float] = []

    def journey(clock: Callable[[], float]) -> Journey:
        for _ in range(30):
            planned = clock() + 0.02
            yield Think(2.0)
            woken.append(clock() - planned)

    with serve(always(answer())) as server:
        driven = drive(server.target, journey(time.monotonic), time_scale=0.01)
    assert driven.endings == [Ending.FINISHED]
    assert min(woken) >= -0.001
    assert min(woken) <= 0.001  # on a busy machine others sleep longer


def test_a_sleeping_visitor_weighs_little(drive: Drive) -> None:
    """Python's part of it: its frames, its entries, its connection. No stack, which is 8 KB at the least elsewhere."""
    step = known_step("latency=constant:1ms")
    weighed: list[float] = []
    sleepers = 300

    asleep: list[bool] = []

    def sleeps() -> Journey:
        yield step
        asleep.append(True)
        yield Think(1e6)

    def weigh(engine: Engine) -> None:
        deadline = time.monotonic() + 60
        while len(asleep) < sleepers and time.monotonic() < deadline:
            engine.turn(0.1)
        weighed.append((tracemalloc.get_traced_memory()[0] - before) / sleepers)
        assert engine.connections == len(asleep) == sleepers
        engine.leave_all(Ending.CUT_OFF)

    with known() as url:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        try:
            drive(resolve(url), *(sleeps() for _ in range(sleepers)), meanwhile=weigh)
        finally:
            tracemalloc.stop()
    assert weighed[0] < 4_000


def test_over_tls(serve: Serve, drive: Drive, tmp_path: Path) -> None:
    made = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"), "-subj", "/CN=localhost", "-nodes"]
    ask = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *made]
    subprocess.run(ask, check=True, capture_output=True)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    large = b"x" * 300_000
    got: list[Answer] = []

    def journey() -> Journey:
        got.append((yield Step("step", "GET", "/")))
        got.append((yield Step("step", "POST", "/", body=large)))

    with serve(always(answer(large)), trust) as server:
        driven = drive(server.target, journey(), journey())
    assert driven.outcomes() == {"success": 4}
    assert {one.body for one in got} == {large}
    assert (server.connections, driven.frame.sent) == (2, 4)
    assert {len(request) > 300_000 for request in server.requests} == {True, False}


def test_a_port_that_speaks_no_tls(serve: Serve, drive: Drive, tmp_path: Path) -> None:
    with serve(always(answer())) as server:
        plain = server.target
        target = type(plain)("https", plain.host, plain.port, plain.address)

        def journey() -> Journey:
            yield Step("step", "GET", "/")

        def rubbish(wire: Wire, number: int) -> None:
            wire.socket.recv(100)
            wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server.play = rubbish
        driven = drive(target, journey())
    assert driven.outcomes() == {"failure": 1}
    assert next(iter(driven.errors)).startswith("TLS: ")
    assert driven.frame.sent == 0

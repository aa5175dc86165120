"""How much this host's generator can drive before it says something else than what happened.

It asks the server of known answers at rising rates, then with rising numbers of sessions. A rung holds when the
percentiles that were measured are those that the server really gave, the planned rate was reached, nobody began late
and there was CPU left. The climb is a pure function of `measure`; what a rung is judged by is one of what it measured.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from loadtests.calibrating.calibrator import STEP, Order
from loadtests.calibrating.known_server import KnownServer
from loadtests.calibrating.programme import PATH
from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.steps import Outcome

PROGRAMME = f"latency=lognormal:20ms,0.5&answers=503*1&wrong=constant:1ms&size=2000&name={STEP}"
MEAN_SECONDS = 0.0227  # of that: 20 ms x exp(0.5^2 / 2)
COMPARED = (50.0, 95.0, 99.0)
APART, APART_MS = 0.02, 1.0  # a percentile agrees within 2 % or 1 ms, whichever is more
BUSIEST = 0.90  # of a core
REACHED = 0.97  # of the planned rate
LATE_MS = 100.0  # p99 of late starts
SESSIONS = 1_000  # of one process, while the rate rises
FIRST_RATE = 250.0
ASKING_EVERY_SECONDS = 10.0  # at the least, while the number of sessions rises
ARRIVING = 2_000.0  # sessions a second
START_SECONDS = 2.0
FATAL = ("out of ports", "out of descriptors", "out of buffers")
PORTS = 20_000  # connections that one source address may have, with room


@dataclass(frozen=True, slots=True)
class Rung:
    """What was measured at a rate (requests/s) and a number of sessions, all processes together. `apart_ms`: measured
    minus true, by percentile. `server_cpu`: of the server of known answers, which has a limit as well."""

    rate: float
    sessions: int
    seconds: int
    reached: float
    cpu: float
    late_p99_ms: float
    lag_p99_ms: float
    measured_ms: tuple[float, ...]
    true_ms: tuple[float, ...]
    failed: int
    programmed: int
    notes: tuple[str, ...]
    server_cpu: float
    rss_bytes: int

    @property
    def apart_ms(self) -> tuple[float, ...]:
        return tuple(mine - true for mine, true in zip(self.measured_ms, self.true_ms, strict=False))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "apart_ms": self.apart_ms, "gave_way": gave_way(self)}


Measure = Callable[[float, int], Rung]


def gave_way(rung: Rung) -> str | None:
    """What gave way at this rung, or None when it holds."""
    for percentile, apart, true in zip(COMPARED, rung.apart_ms, rung.true_ms, strict=False):
        if abs(apart) > max(APART_MS, APART * true):
            return f"p{percentile:g} is {apart:+.1f} ms off a true {true:.1f} ms"
    reasons = {
        f"{len(rung.measured_ms)} percentiles were measured": len(rung.measured_ms) == len(COMPARED),
        f"a generator took {rung.cpu:.0%} of a core": rung.cpu <= BUSIEST,
        f"{rung.reached:.0f} of {rung.rate:.0f} requests/s were reached": rung.reached >= _enough(rung),
        f"p99 of late starts is {rung.late_p99_ms:.0f} ms": rung.late_p99_ms <= LATE_MS,
        f"{rung.failed} requests failed, {rung.programmed} were to": rung.failed == rung.programmed,
        f"it was {', '.join(rung.notes)}": not rung.notes,
    }
    return next((reason for reason, holds in reasons.items() if not holds), None)


def _enough(rung: Rung) -> float:
    """Visitors hesitate by chance, so that few requests are never exactly as many as planned."""
    planned = max(1.0, rung.rate * rung.seconds)
    return rung.rate * (REACHED - 3 / math.sqrt(planned))


def highest(
    measure: Callable[[float], Rung], *, first: float, most: float, bisections: int, said: Callable[[Rung], None]
) -> Rung | None:
    """The highest rung that holds: doubled until one gives way, then bisected; `most` is the last that is tried. One
    that gives way is tried once more, for the machine may have been busy with something else. None: not even the first
    holds."""

    def tried(value: float) -> Rung:
        rung = measure(value)
        if gave_way(rung) is not None:
            rung = measure(value)
        said(rung)
        return rung

    good, value, bad = None, first, 0.0
    while good is None or good[1] < most:
        rung = tried(value)
        if gave_way(rung) is not None:
            bad = value
            break
        good, value = (rung, value), min(2 * value, most)
    if good is None or not bad:
        return good[0] if good else None
    for _ in range(bisections):
        middle = (good[1] + bad) / 2
        rung = tried(middle)
        if gave_way(rung) is None:
            good = (rung, middle)
        else:
            bad = middle
    return good[0]


@dataclass(frozen=True, slots=True)
class Certified:
    """The highest rate and number of sessions that held, all processes together."""

    rate: float
    sessions: int


def climb(
    measure: Measure, *, processes: int, most_rate: float, most_sessions: int, said: Callable[[Rung], None]
) -> Certified | None:
    """First the rate, with few sessions; then the sessions, each asking now and then. None: nothing holds."""
    few = min(SESSIONS * processes, most_sessions)
    fast = highest(
        lambda rate: measure(rate, few), first=min(FIRST_RATE, most_rate), most=most_rate, bisections=2, said=said
    )
    if fast is None:
        return None
    many = highest(
        lambda sessions: measure(min(fast.rate / 2, sessions / ASKING_EVERY_SECONDS), int(sessions)),
        first=min(2.5 * few, most_sessions),
        most=most_sessions,
        bisections=1,
        said=said,
    )
    return Certified(rate=fast.rate, sessions=many.sessions if many else fast.sessions)


def rung(frames: Iterable[Frame], truth: dict[str, Any], *, rate: float, sessions: int, steady: range) -> Rung:
    """What the frames of all processes and the server's truth say. `steady`: the seconds in which everybody is there
    and nobody leaves."""
    frames, whole, late, lag = list(frames), Tally(), Histogram(), Histogram()
    for frame in frames:
        whole.add(frame.tallies.get(STEP, Tally()))
        late.add(frame.late)
        lag.add(frame.lag)
    said = truth["by"].get(STEP, {"answers": {}, "right": {}})
    answered = sum(tally.outcomes.total() for frame in frames if frame.at in steady for tally in frame.tallies.values())
    right = Histogram.from_json(said["right"])
    return Rung(
        rate=rate,
        sessions=sessions,
        seconds=len(steady),
        reached=answered / max(1, len(steady)),
        cpu=max((_mean_cpu(frames, worker, steady) for worker in {frame.worker for frame in frames}), default=0.0),
        late_p99_ms=late.percentile_ms(99) or 0.0,
        lag_p99_ms=lag.percentile_ms(99) or 0.0,
        measured_ms=tuple(whole.service.percentiles_ms(COMPARED)),
        true_ms=tuple(right.percentiles_ms(COMPARED)),
        failed=whole.outcomes.total() - whole.outcomes[Outcome.SUCCESS],
        programmed=int(said["answers"].get("503", 0)),
        notes=tuple(sorted({note for frame in frames for note in frame.notes if note.startswith(FATAL)})),
        server_cpu=truth["cpu"],
        rss_bytes=sum(max(one.rss_bytes for one in frames if one.worker == worker) for worker in _workers(frames)),
    )


def _workers(frames: Sequence[Frame]) -> set[int]:
    return {frame.worker for frame in frames}


def _mean_cpu(frames: Sequence[Frame], worker: int, steady: range) -> float:
    shares = [frame.cpu for frame in frames if frame.worker == worker and frame.at in steady]
    return sum(shares) / max(1, len(shares))


def measured(server: KnownServer, *, rate: float, sessions: int, processes: int, seconds: int) -> Rung:
    """One rung, really driven: so many processes share rate and sessions, for `seconds` after the last has arrived."""
    server.forget()
    ramp = max(1.0, sessions / ARRIVING)
    steady = range(int(ramp) + 1, int(ramp) + 1 + seconds)
    order = Order(
        host=server.url,
        path=f"{PATH}?{PROGRAMME}",
        sessions=sessions // processes,
        # A visitor's round is the answer, and the pause.
        pause=max(0.001, sessions / rate - MEAN_SECONDS),
        ramp=ramp,
        until=float(steady.stop),
        worker=0,
        began=time.monotonic() + START_SECONDS,
        sources=tuple(f"127.0.0.{number}" for number in range(1, 2 + sessions // PORTS)),
    )
    started = [_started(replace(order, worker=number)) for number in range(processes)]
    try:
        frames = [frame for process in started for frame in _frames(process)]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return rung(frames, server.truth(), rate=rate, sessions=sessions, steady=steady)


def _started(order: Order) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.calibrating.calibrator"],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end it
    )
    if process.stdin is not None:
        with process.stdin:
            process.stdin.write(json.dumps(asdict(order)))
    return process


def _frames(process: "subprocess.Popen[str]") -> list[Frame]:
    if process.stdout is None:
        return []
    with process.stdout:
        return [Frame.from_json(json.loads(line)) for line in process.stdout]

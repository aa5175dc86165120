"""Does the laboratory tell the truth? Ten thousand sessions in two generator processes, against a server that keeps
account of what it really did (`loadtests.calibrating.known`):

- p50, p95 and p99 are the server's own, within 2 % or 1 ms;
- a freeze of 6 s is in the p99 of intended times, beside the p99 of service times, which few who ask often hide;
- 30 % of fast 503s leave every latency figure of right answers as it was;
- a generator slowed on purpose is INVALID, and the same one left alone is not.

python -m bench.truthfulness [sessions]      about 100 s

Prints what was told beside what was true, and exits with 1 when one is missed. What is missed is tried once more: the
machine may have been busy with something else.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.side_by_side import ROOT, machine
from loadtests import plans, stats, verdict
from loadtests.calibrating import calibration, calibrator, known_server
from loadtests.calibrating.calibration import APART, APART_MS, COMPARED, FATAL
from loadtests.calibrating.calibrator import STEP, Order
from loadtests.calibrating.known_server import KnownServer
from loadtests.calibrating.programme import PATH
from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.judgement.marks import Mark
from loadtests.sessions import Engine
from loadtests.steps import Outcome

PROCESSES = 2
LATENCY = "lognormal:20ms,0.5&draw=even&size=2000"
EVERY_SECONDS = 10.0  # a session asks
SECONDS = 10
FREEZE_SECONDS, FREEZE_AT = 6.0, 7.0
SLOWED_SECONDS = 0.4  # a turn of the loop
SLOWED_FROM = 6.0  # second of the run; ten thousand have come by then
SLOW = "--slowed"
WAITING = "the generator kept nobody waiting"
# The server of known answers has no books; those of a run are audited by the target's own account.
BOOKS = {"audited": True, "clean": True, "as_of": "now", "invariants": [{"name": "none", "holds": True, "checked": 1}]}


@dataclass(frozen=True, slots=True)
class Driven:
    frames: list[Frame]
    truth: dict[str, Any]
    order: Order

    @property
    def tally(self) -> Tally:
        whole = Tally()
        for frame in self.frames:
            whole.add(frame.tallies.get(STEP, Tally()))
        return whole

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = self.truth["by"][STEP]
        return found

    @property
    def verdict(self) -> verdict.Verdict:
        """As a run of so many visitors would have been judged."""
        users = self.order.sessions * PROCESSES
        shape = {"rate": None, "duration": self.order.ramp, "arrivals": "constant", "time_scale": 1.0}
        plan = plans.make(scenario="signup", users=users, seed=1, host=self.order.host, limits=(), **shape)  # type: ignore[arg-type]
        results = stats.measured(
            self.frames, plan=plan, started_at=0.0, seconds=float(len(self.frames) // PROCESSES), ended_by="plan"
        )
        return verdict.judge(plan=plan, results=results, findings=[], books=BOOKS)


def drive(
    server: KnownServer,
    programme: str,
    *,
    sessions: int,
    every: float = EVERY_SECONDS,
    seconds: float = SECONDS,
    slowed: bool = False,
) -> Driven:
    """All sessions, in two processes, until so many seconds after the last has come."""
    server.forget()
    ramp = max(1.0, sessions / calibration.ARRIVING)
    order = Order(
        host=server.url,
        path=f"{PATH}?latency={LATENCY}&name={STEP}&{programme}",
        sessions=sessions // PROCESSES,
        pause=every,
        ramp=ramp,
        until=ramp + seconds,
        worker=0,
        began=time.monotonic() + calibration.START_SECONDS,
    )
    started = [_started(replace(order, worker=number), slowed) for number in range(1, PROCESSES + 1)]
    try:
        said = [process.communicate()[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    frames = [Frame.from_json(json.loads(line)) for text in said for line in text.splitlines()]
    return Driven(frames, server.truth(), order)


def _started(order: Order, slowed: bool) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.truthfulness", "--drive", *([SLOW] if slowed else [])]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin is not None:
        process.stdin.write(json.dumps(asdict(order)))
        process.stdin.close()
        process.stdin = None
    return process


def slow_down() -> None:
    """The loop's turns, from the moment when all are there: nobody comes late, and hardly any CPU is used."""
    turn = Engine.turn

    def slowed(engine: Engine, timeout: float) -> None:
        turn(engine, timeout)
        if engine._clock() > SLOWED_FROM:
            time.sleep(SLOWED_SECONDS)

    Engine.turn = slowed  # type: ignore[assignment, method-assign]


# What is to be shown: (what, told, true or wanted, whether it holds).
Row = tuple[str, str, str, bool]


def close(mine: float, true: float) -> bool:
    return abs(mine - true) <= max(APART_MS, APART * true)


def compared(what: str, mine: Histogram, true: Histogram) -> list[Row]:
    pairs = zip(COMPARED, mine.percentiles_ms(COMPARED), true.percentiles_ms(COMPARED), strict=True)
    return [(f"{what}, p{share:g}", f"{a:.1f} ms", f"{b:.1f} ms", close(a, b)) for share, a, b in pairs]


def alone(driven: Driven) -> list[Row]:
    rows = compared("left alone", driven.tally.service, Histogram.from_json(driven.said["right"]))
    missing = {note for frame in driven.frames for note in frame.notes if note.startswith(FATAL)}
    count, true = driven.tally.outcomes[Outcome.SUCCESS], driven.said["answers"]["200"]
    rows.append(("left alone, right answers", f"{count:,}", f"{true:,}", count == true and not missing))
    said = driven.verdict
    for check in said.checks:
        if check.mark is Mark.BROKEN:
            print(f"   {check.name}: {check.detail}")
    return [*rows, ("left alone, the verdict", said.outcome.name, "PASSED", said.outcome is verdict.Outcome.PASSED)]


def frozen(driven: Driven, *, hidden: bool) -> list[Row]:
    who = "few who ask often" if hidden else "all"
    (service,), (intended,) = (part.percentiles_ms((99.0,)) for part in (driven.tally.service, driven.tally.intended))
    true = Histogram.from_json(driven.said["right"]).percentiles_ms((99.0,))[0]
    enough = 0.9 * FREEZE_SECONDS * 1e3
    rows = [
        (f"6 s of freeze, {who}: intended p99", f"{intended:,.0f} ms", f"{enough:,.0f} ms or more", intended >= enough)
    ]
    right = close(service, true) and (not hidden or service < 1_000)
    return [*rows, (f"6 s of freeze, {who}: service p99", f"{service:,.1f} ms", f"{true:,.1f} ms", right)]


def failing(driven: Driven) -> list[Row]:
    """Held against the server's right answers of the same seconds: those of another run, a busy machine changes."""
    tally, mixed = driven.tally, Histogram()
    rows = compared("30 % fast 503s, right answers", tally.service, Histogram.from_json(driven.said["right"]))
    mixed.add(tally.service)
    mixed.add(tally.wrong)
    (median,), (other,) = tally.service.percentiles_ms((50.0,)), mixed.percentiles_ms((50.0,))
    rows.append(("   had they been mixed in, p50", f"{other:.1f} ms", f"not {median:.1f} ms", not close(other, median)))
    failed, true = driven.tally.outcomes[Outcome.FAILURE], driven.said["answers"]["503"]
    share = failed / driven.tally.outcomes.total()
    return [*rows, (f"503s ({share:.1%} of all)", f"{failed:,}", f"{true:,}", failed == true and 0.28 < share < 0.32)]


def slowed(driven: Driven) -> list[Row]:
    said = driven.verdict
    found = next(check for check in said.checks if check.name == WAITING)
    print(f"   {found.name}: {found.detail}")
    holds = said.outcome is verdict.Outcome.INVALID and found.mark is Mark.BROKEN
    return [(f"slowed by {SLOWED_SECONDS:g} s a turn, the verdict", said.outcome.name, "INVALID", holds)]


def shown(scene: Callable[[], list[Row]]) -> bool:
    for last in (False, True):
        rows = scene()
        if last or all(holds for *_, holds in rows):
            break
        print(f"   missed, tried once more: {', '.join(what for what, *_, holds in rows if not holds)}")
    tell(rows)
    return all(holds for *_, holds in rows)


def tell(rows: Iterable[Row]) -> None:
    for what, told, true, holds in rows:
        print(f"{what:46} {told:>28}   {true:>18}   {'yes' if holds else 'MISSED'}", flush=True)


def main() -> int:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    few = max(PROCESSES, sessions // 200)
    began = time.monotonic()
    print(f"{sessions:,} sessions in {PROCESSES} processes, answers {LATENCY}, {machine()}")
    print(f"{'':46} {'told':>28}   {'true, or wanted':>18}")
    freeze = f"freeze={FREEZE_SECONDS:g}s@"
    with known_server.running() as server:

        def scene(programme: str, judge: Callable[[Driven], list[Row]], **how: Any) -> bool:
            return shown(lambda: judge(drive(server, programme, **{"sessions": sessions, **how})))

        held = [
            scene("", alone),
            scene(f"{freeze}{FREEZE_AT:g}s", lambda driven: frozen(driven, hidden=False)),
            scene(f"{freeze}1s", lambda driven: frozen(driven, hidden=True), sessions=few, every=0.02, seconds=18),
            scene("answers=503*30&wrong=constant:1ms", failing),
            scene("", slowed, slowed=True),
        ]
    print(f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}: {'all shown' if all(held) else 'MISSED'}")
    return 0 if all(held) else 1


if __name__ == "__main__":
    if "--drive" in sys.argv:
        if SLOW in sys.argv:
            slow_down()
        calibrator.main()
    else:
        sys.exit(main())

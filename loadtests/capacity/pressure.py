"""One rate, one run: the plan at that rate, and what its frames say as a point of the search. Pure: who runs it is
`loadtests/runs.py`, called by `loadtests/comparison/many.py`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.capacity.breaking import Ask, Mark, Point, Purpose
from loadtests.capacity.scalability import Loaded
from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.judgement.phases import Phase
from loadtests.judgement.windows import judged
from loadtests.plans import Plan
from loadtests.shapes import Piece, Shape
from loadtests.stats import busiest
from loadtests.steps import Outcome

CONFIRM_TIMES = 3  # so many times as long as a run of the climb
CALM = 0.5  # of the rate that held: what arrives before and after an overload
OVERLOAD = 1.5  # of the rate that did not hold
# A generator beyond this is what was measured (as in loadtests/verdict.py).
GENERATOR_CPU = 0.90
LATE_SECONDS = 1.0
# The number in flight may double over a plateau, and a few more: what grows beyond that goes on growing.
GROWTH, GROWTH_FLOOR = 2.0, 10.0
_WINDOW = re.compile(r"\s+over\s+\d+\s*s\b|\s+stop\b")


@dataclass(frozen=True, slots=True)
class Spike:
    """A calm rate, an overload from `begins` to `ends` (seconds of the run), and the calm rate again."""

    plan: Plan
    begins: float
    ends: float


def at_rate(plan: Plan, *, ask: Ask, seconds: float, seed: int) -> Plan:
    """The plan at a steady rate, so long that all visitors who belong there are present for `seconds`: those of a whole
    journey come before."""
    hold = seconds * (CONFIRM_TIMES if ask.purpose is Purpose.CONFIRM else 1)
    lasts = plan.longest_journey + hold
    users = max(1, round(ask.rate * lasts))
    piece = Piece(users / ask.rate, ask.rate, ask.rate)
    return replace(plan, users=users, shape=Shape(_spacing(plan), (piece,), _spacing(plan)), seed=seed)


def spike(plan: Plan, *, held: float, broke: float, seconds: float, seed: int) -> Spike:
    calm, over = CALM * held, OVERLOAD * broke
    before, after = plan.longest_journey + seconds / 2, plan.longest_journey + 3 * seconds
    pieces = (Piece(before, calm, calm), Piece(seconds, over, over), Piece(after, calm, calm))
    shape = Shape("spike", pieces, _spacing(plan))
    changed = replace(plan, users=max(1, round(shape.people)), shape=shape, seed=seed, limits=_without_stops(plan))
    return Spike(changed, before, before + seconds)


def point(*, plan: Plan, ask: Ask, frames: Sequence[Frame], probes: Mapping[str, Any] | None, run: str) -> Point:
    """What a run at a steady rate says. A generator that was the bottleneck outranks every limit: what broke then may
    have been its doing."""
    phases = plan.phases()
    plateau = next((phase for phase in phases if phase.name == "plateau"), phases[-1])
    broken = [
        f"{found.limit.text}: {found.detail}"
        for found in judged(plan.limits, frames=frames, phases=phases, probes=probes)
        if found.holds is False
    ]
    broken += [*_untrue(frames), *_growing(frames, plateau)]
    doubts = list(unbelieved(frames))
    mark = Mark.UNKNOWN if doubts else Mark.BROKE if broken else Mark.HELD
    return replace(_figures(frames, plateau, ask), mark=mark, why=tuple(doubts or broken), run=run)


def overload_point(*, spiked: Spike, frames: Sequence[Frame], run: str) -> Point:
    """The overload of a spike. Nobody asks whether it holds; only whether the generator is to be believed."""
    doubts = tuple(unbelieved(frames))
    rate = spiked.plan.shape.pieces[1].begin
    figures = _figures(frames, Phase("overload", spiked.begins, spiked.ends), Ask(rate, Purpose.OVERLOAD))
    return replace(figures, mark=Mark.UNKNOWN if doubts else Mark.BROKE, why=doubts, run=run)


def good_seconds(plan: Plan, frames: Sequence[Frame]) -> list[bool | None]:
    """Whether each second by itself kept the plan's limits on answers; None where nothing could be judged."""
    lines = [_WINDOW.sub("", line) for line in plan.limits]
    by_second: dict[int, list[Frame]] = {}
    for frame in frames:
        by_second.setdefault(frame.at, []).append(replace(frame, at=0))
    return [_good(lines, by_second.get(at, [])) for at in range(max(by_second, default=-1) + 1)]


def loaded(points: Iterable[Point]) -> list[Loaded]:
    """What the scalability law is fitted to: every run that measured the target and was answered rightly on the whole.
    What fails fast is no throughput, and what waits in an overload for its time-out is no concurrency."""
    usable = (point for point in points if point.mark is not Mark.UNKNOWN and point.wrong < 0.01)
    return [Loaded(point.in_flight, point.answered) for point in usable if point.purpose is not Purpose.OVERLOAD]


def _figures(frames: Sequence[Frame], phase: Phase, ask: Ask) -> Point:
    """Of the whole seconds within the phase; of all that there are where it has none."""
    within = [frame for frame in frames if phase.start <= frame.at and frame.at + 1 <= phase.end] or list(frames)
    seconds = max(1, len({frame.at for frame in within}))
    total = Tally()
    for frame in within:
        for tally in frame.tallies.values():
            total.add(tally)
    answers = max(1, total.outcomes.total())
    right = total.outcomes[Outcome.SUCCESS]
    return Point(
        rate=ask.rate,
        mark=Mark.UNKNOWN,
        purpose=ask.purpose,
        answered=right / seconds,
        wrong=(total.outcomes.total() - right) / answers,
        timed_out=total.outcomes[Outcome.TIMEOUT] / answers,
        in_flight=sum(frame.in_flight_seconds for frame in within) / seconds,
        p50=total.service.percentile_ms(50),
        p99=total.service.percentile_ms(99),
        intended_p99=total.intended.percentile_ms(99),
    )


def _untrue(frames: Sequence[Frame]) -> list[str]:
    """Whatever the limits are: an answer that is not true is no answer."""
    count = sum(tally.outcomes[Outcome.UNTRUE] for frame in frames for tally in frame.tallies.values())
    return [f"{count} answers were untrue"] if count else []


def _growing(frames: Sequence[Frame], plateau: Phase) -> list[str]:
    """Why the plateau was not steady, if it was not: of its first third and its last, the number in flight."""
    third = (plateau.end - plateau.start) / 3
    first = _in_flight(frames, plateau.start, plateau.start + third)
    last = _in_flight(frames, plateau.end - third, plateau.end)
    if first is None or last is None or last <= GROWTH * first + GROWTH_FLOOR:
        return []
    return [f"not steady: requests in flight grew from {first:.3g} to {last:.3g} at an even rate of arrivals"]


def _in_flight(frames: Sequence[Frame], start: float, end: float) -> float | None:
    within = [frame for frame in frames if start <= frame.at < end]
    seconds = len({frame.at for frame in within})
    return sum(frame.in_flight_seconds for frame in within) / seconds if seconds else None


def unbelieved(frames: Sequence[Frame]) -> Iterable[str]:
    """Why the generator, and not the target, was measured."""
    cpu: dict[int, list[float]] = {}
    late = Histogram()
    unmet, notes = 0, set()
    for frame in frames:
        cpu.setdefault(frame.worker, []).append(frame.cpu)
        late.add(frame.late)
        unmet += frame.unmet.total()
        notes |= {note for note in frame.notes if note.startswith("out of ")}
    most = max(map(busiest, cpu.values()), default=0.0)
    behind = late.percentile_ms(99) or 0.0
    if most >= GENERATOR_CPU:
        yield f"a generator took {most:.0%} of a core"
    if behind >= LATE_SECONDS * 1e3:
        yield f"visitors began late: p99 {behind:.0f} ms"
    if notes:
        yield ", ".join(sorted(notes))
    if not frames or (unmet and not any(frame.arrivals for frame in frames)):
        yield "nobody arrived"


def _good(lines: Sequence[str], frames: Sequence[Frame]) -> bool | None:
    held = [found.holds for found in judged(lines, frames=frames, phases=())]
    return False if False in held else True if True in held else None


def _without_stops(plan: Plan) -> tuple[str, ...]:
    """An overload is wanted here: nothing ends it early."""
    return tuple(re.sub(r"\s+stop\b", "", line) for line in plan.limits)


def _spacing(plan: Plan) -> str:
    return plan.shape.spacing

"""One rate, one run: the plan at that rate, and what its record and frames say as a point of the search. Pure: who runs
it is `loadtests/runs.py`, called by `loadtests/comparison/many.py`."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtests.capacity.breaking import Ask, Mark, Point, Purpose
from loadtests.capacity.scalability import Loaded
from loadtests.frames import Frame, Tally
from loadtests.judgement.phases import Phase
from loadtests.judgement.windows import judged
from loadtests.limits import parse
from loadtests.plans import DEFAULT_LIMITS, MOST_USERS, Plan
from loadtests.shapes import Piece, Shape
from loadtests.steps import Outcome
from loadtests.verdict import Outcome as Verdict

CONFIRM_TIMES = 3  # so many times as long as a run of the climb
CALM = 0.5  # of the rate that held: what arrives before and after an overload
OVERLOAD = 1.5  # of the rate that did not hold
# The number in flight may double over a plateau, and a few more: what grows beyond that goes on growing.
GROWTH, GROWTH_FLOOR = 2.0, 10.0
_WINDOW = re.compile(r"\s+over\s+\d+\s*s\b|\s+stop\b")


@dataclass(frozen=True, slots=True)
class Spike:
    """A calm rate, an overload, and the calm rate again. The overload ends at `ends`; from `begins` on all are present
    who belong to it (seconds of the run)."""

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
    shape = Shape(_spacing(plan), (piece,), _spacing(plan))
    return replace(plan, users=users, shape=shape, seed=seed, limits=without_floors(plan))


def without_floors(plan: Plan) -> tuple[str, ...]:
    """The limits that can be kept at any rate: those that demand so many arrivals or answers a second are the plan's
    at its own."""
    asked = {line: parse(line) for line in plan.limits}
    floors = {line for line, limit in asked.items() if limit.at_least and limit.metric in ("rate", "arrivals")}
    return tuple(line for line in plan.limits if line not in floors) or DEFAULT_LIMITS


def most_rate(plan: Plan, *, seconds: float) -> float:
    """The highest rate (arrivals/s) of which a run, and a long one, has no more visitors than a plan may have. A little
    less: rates are rounded."""
    return 0.999 * MOST_USERS / (plan.longest_journey + CONFIRM_TIMES * seconds)


def spike(plan: Plan, *, held: float, broke: float, seconds: float, seed: int) -> Spike:
    """Whoever arrives asks all through a journey, so the overload is whole only a journey after its beginning: it goes
    on for `seconds` more, and those are what is measured. Raises `PlanMistake` where that is too many visitors."""
    calm, over = CALM * held, OVERLOAD * broke
    journey = plan.longest_journey
    before, after = journey + seconds / 2, journey + 3 * seconds
    pieces = (Piece(before, calm, calm), Piece(journey + seconds, over, over), Piece(after, calm, calm))
    shape = Shape("spike", pieces, _spacing(plan))
    changed = replace(plan, users=max(1, round(shape.people)), shape=shape, seed=seed, limits=_without_stops(plan))
    return Spike(changed, before + journey, before + journey + seconds)


def point(*, plan: Plan, ask: Ask, kept: Mapping[str, Any], frames: Sequence[Frame], run: str) -> Point:
    """What a run at a steady rate says, by the verdict of its record `kept`: held is what `loadtest run` would not have
    found fault with, but for books that nobody audited. What cannot be believed outranks what broke: that may have been
    the laboratory's doing. A limit that nothing was measured for was not kept, and not broken either."""
    phases = plan.phases()
    plateau = next((phase for phase in phases if phase.name == "plateau"), phases[-1])
    doubts = unbelieved(kept)
    broken = _broken(kept) or _growing(frames, plateau)
    if not broken:
        doubts = doubts or _unjudged(kept)
    mark = Mark.UNKNOWN if doubts else Mark.BROKE if broken else Mark.HELD
    return replace(_figures(frames, plateau, ask), mark=mark, why=tuple(doubts or broken), run=run)


def overload_point(*, spiked: Spike, kept: Mapping[str, Any], frames: Sequence[Frame], run: str) -> Point:
    """The overload of a spike. Nobody asks whether it holds; only whether the run is to be believed."""
    doubts = tuple(unbelieved(kept))
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


def unbelieved(kept: Mapping[str, Any]) -> list[str]:
    """Why a run says nothing of the target, by its own verdict; empty where it does. INVALID is also what nobody
    audited or measured; only what is broken as well is the laboratory's fault, since it outranks the limits."""
    if kept["verdict"]["outcome"] != Verdict.INVALID.name:
        return []
    limits = {limit["text"] for limit in kept["limits"]}
    return _broken(kept, but=limits) or _broken(kept)


def _broken(kept: Mapping[str, Any], *, but: Collection[str] = ()) -> list[str]:
    checks = kept["verdict"]["checks"]
    return [f"{one['name']}: {one['detail']}" for one in checks if one["mark"] == "broken" and one["name"] not in but]


def _unjudged(kept: Mapping[str, Any]) -> list[str]:
    """Moot is what the plan itself leaves nothing to judge by."""
    return [
        f"{one['text']}: nothing was measured that it could be judged by"
        for one in kept["limits"]
        if one["holds"] is None and not one.get("moot")
    ]


def _good(lines: Sequence[str], frames: Sequence[Frame]) -> bool | None:
    held = [found.holds for found in judged(lines, frames=frames, phases=())]
    return False if False in held else True if True in held else None


def _without_stops(plan: Plan) -> tuple[str, ...]:
    """An overload is wanted here: nothing ends it early."""
    return tuple(re.sub(r"\s+stop\b", "", line) for line in plan.limits)


def _spacing(plan: Plan) -> str:
    return plan.shape.spacing

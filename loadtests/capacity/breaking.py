"""The highest steady rate that keeps the limits: which rate is measured next, given what was measured so far.

It climbs by a factor until a rate breaks, goes into the bracket between held and broken, and confirms what is left
with a longer run. One broken run breaks no rate, for machines hiccup: a rate that broke is measured again, and of
doubtful ones the majority counts. What held in a short run may not hold in a longer one: once that was seen, short runs
that held count no more and all further ones are long. Runs that cannot be believed (the generator was the bottleneck,
its certificate was passed, visitors were lost) say nothing about the target; two of them at a rate end the climb, and
the answer is "at least".

`decide` is a pure function of the points, so a search goes on from its record.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from loadtests.plans import PlanMistake

MOST_TRIES = 5  # of one rate; then it is called broken: a rate that holds now and then is not steady


class Mark(Enum):
    """What one run says of its rate."""

    HELD = "held"
    BROKE = "broke"
    UNKNOWN = "unknown"  # it cannot be believed


class Purpose(Enum):
    CLIMB = "climb"
    BISECT = "bisect"
    AGAIN = "again"  # somebody doubts it
    CONFIRM = "confirm"  # longer
    OVERLOAD = "overload"  # beyond the break, for how it breaks


class Bound(Enum):
    """What the search came up against."""

    TARGET = "the target"
    GENERATOR = "what can be believed of the generator"
    MOST = "the highest rate that was asked for"
    RUNS = "the number of runs that was allowed"


@dataclass(frozen=True, slots=True)
class Point:
    """One run. `rate`: planned arrivals/s. `answered`: right answers/s on the plateau, `in_flight` the mean there.
    `wrong`, `timed_out`: shares of answers. `p50`, `p99`, `intended_p99`: in ms."""

    rate: float
    mark: Mark
    purpose: Purpose = Purpose.CLIMB
    why: tuple[str, ...] = ()  # limits that were broken, or why the run is not believed
    answered: float = 0.0
    wrong: float = 0.0
    timed_out: float = 0.0
    in_flight: float = 0.0
    p50: float | None = None
    p99: float | None = None
    intended_p99: float | None = None
    run: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "mark": self.mark.value, "purpose": self.purpose.value, "why": list(self.why)}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Point":
        read = {"mark": Mark(raw["mark"]), "purpose": Purpose(raw["purpose"]), "why": tuple(raw["why"])}
        return cls(**{**raw, **read})


@dataclass(frozen=True, slots=True)
class Goal:
    """Rates in arrivals/s. `precision`: the bracket's width at which the search ends, as a share. One that cannot be
    searched for is a `PlanMistake`."""

    start: float
    most: float = math.inf
    least: float = 0.0  # 0: a hundredth of the start
    growth: float = 1.6
    precision: float = 0.05
    most_runs: int = 40

    def __post_init__(self) -> None:
        demands = (
            ("--start", "must be above 0 and no higher than --most", 0 < self.start <= self.most),
            ("--precision", "must be from 0.005 to 0.5", 0.005 <= self.precision <= 0.5),
            ("--most-runs", "must be at least 3", self.most_runs >= 3),
            ("growth", "must be from 1.05 to 10", 1.05 <= self.growth <= 10),
        )
        for key, why, holds in demands:
            if not holds:
                raise PlanMistake(key, why)


@dataclass(frozen=True, slots=True)
class Ask:
    rate: float
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Found:
    """`rate`: the highest that a longer run confirmed; None: none was. `beyond`: the lowest that did not hold."""

    rate: float | None
    beyond: float | None
    bound: Bound

    @property
    def sentence(self) -> str:
        if self.rate is None:
            return f"no rate was found that keeps the limits; the search ended at {self.bound.value}"
        if self.bound is Bound.TARGET:
            return f"{self.rate:g}/s is the highest steady rate that keeps the limits; {self.beyond:g}/s does not"
        return f"at least {self.rate:g}/s keeps the limits; the search ended at {self.bound.value}"


def search(measure: Callable[[Ask], Point], goal: Goal, *, done: Sequence[Point] = ()) -> tuple[Found, list[Point]]:
    """Ask for points until it is decided; `done` are those of a search that was interrupted."""
    points = list(done)
    while True:
        step = decide(points, goal)
        if isinstance(step, Found):
            return step, points
        points.append(measure(step))


def decide(points: Sequence[Point], goal: Goal) -> Ask | Found:
    seen = _Seen([point for point in points if point.purpose is not Purpose.OVERLOAD])
    low, high, long = seen.low, seen.high, seen.long_only
    if seen.runs >= goal.most_runs:
        return Found(seen.confirmed, high, Bound.RUNS)
    if seen.doubted is not None:
        return Ask(seen.doubted, seen.purpose_of(seen.doubted))
    if not seen.points:
        return Ask(_rounded(goal.start), Purpose.CLIMB)
    if low is None:
        return _downwards(seen, goal)
    bound = _bound(seen, goal)
    if bound is None:
        return Ask(_rounded(min(low * goal.growth, goal.most)), Purpose.CLIMB)
    if high is not None and high / low > 1 + goal.precision:
        middle = _rounded(math.sqrt(low * high))
        if low < middle < high:
            return Ask(middle, Purpose.CONFIRM if long else Purpose.BISECT)
    if seen.confirmed != low:
        return Ask(low, Purpose.CONFIRM)
    return Found(low, high, bound)


def _downwards(seen: "_Seen", goal: Goal) -> Ask | Found:
    """Nothing has held yet."""
    lowest = min(point.rate for point in seen.points)
    least = goal.least or goal.start / 100
    if lowest <= least * 1.000_1:
        return Found(None, seen.high, Bound.TARGET if seen.high else Bound.GENERATOR)
    if seen.long_only:
        return Ask(_rounded(max(least, lowest / goal.growth)), Purpose.CONFIRM)
    return Ask(_rounded(max(least, lowest / goal.growth**2)), Purpose.CLIMB)


def _bound(seen: "_Seen", goal: Goal) -> Bound | None:
    if seen.high is not None:
        return Bound.TARGET
    if seen.blind is not None:
        return Bound.GENERATOR
    return Bound.MOST if seen.low is not None and seen.low >= _rounded(goal.most) else None


class _Seen:
    """What the points say together, rate by rate."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.runs = len(points)
        self.long_only = any(_mark(of) is Mark.BROKE for of in _by_rate(p for p in points if _long(p)).values())
        self.points = [point for point in points if not self.long_only or _long(point) or point.mark is not Mark.HELD]
        self._by_rate = _by_rate(self.points)
        marks = {rate: _mark(of) for rate, of in self._by_rate.items()}
        self.high = min((rate for rate, mark in marks.items() if mark is Mark.BROKE), default=None)
        below = self.high or math.inf
        self.low = max((rate for rate, mark in marks.items() if mark is Mark.HELD and rate < below), default=None)
        self.blind = min((rate for rate, mark in marks.items() if mark is Mark.UNKNOWN), default=None)
        self.doubted = next((rate for rate, mark in marks.items() if mark is None and rate < below), None)

    @property
    def confirmed(self) -> float | None:
        """The highest rate, below the lowest broken one, that a longer run kept."""
        long = {point.rate for point in self.points if _long(point) and point.mark is Mark.HELD}
        return max((rate for rate in long if self.low is not None and rate <= self.low), default=None)

    def purpose_of(self, rate: float) -> Purpose:
        return Purpose.CONFIRM if any(map(_long, self._by_rate[rate])) else Purpose.AGAIN


def _long(point: Point) -> bool:
    return point.purpose is Purpose.CONFIRM


def _by_rate(points: Iterable[Point]) -> dict[float, list[Point]]:
    rates: dict[float, list[Point]] = {}
    for point in points:
        rates.setdefault(point.rate, []).append(point)
    return rates


def _mark(points: Sequence[Point]) -> Mark | None:
    """None: measure it again."""
    count = Counter(point.mark for point in points)
    held, broke, unknown = count[Mark.HELD], count[Mark.BROKE], count[Mark.UNKNOWN]
    if held > broke and (broke == 0 or held >= 2):
        return Mark.HELD
    if broke >= 2 and broke > held:
        return Mark.BROKE
    if unknown >= 2:
        return Mark.UNKNOWN if not broke else Mark.BROKE
    return Mark.BROKE if held + broke >= MOST_TRIES else None


def _rounded(rate: float) -> float:
    """Four digits: the same rate is the same number."""
    return float(f"{rate:.4g}") if math.isfinite(rate) else rate

"""Beyond the breaking point: how it breaks, and how long it takes until it is well again. Pure functions of points and
seconds that were measured.

| way | of what is offered beyond the break |
|---|---|
| cliff | from one step of the search to the next most of the throughput is gone |
| collapse | the more is offered, the less is answered rightly |
| errors | what fits in is answered, the rest is refused |
| plateau | as much as before is answered, the rest waits |
| slower | everything is answered, later than the limits allow |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from loadtests.capacity.breaking import Mark, Point

KEPT = 0.7  # of the best throughput; less than that is a breakdown
ANSWERED = 0.95  # of what was offered; more than that is all
REFUSED = 0.05  # wrong answers, as a share; less is no way of shedding load
CALM_SECONDS = 3  # so many good seconds in a row
CALM_SHARE = 0.9  # of all seconds from there to the run's end: machines hiccup in calm times as well


class Way(Enum):
    CLIFF = "cliff"
    COLLAPSE = "collapse"
    ERRORS = "errors"
    PLATEAU = "plateau"
    SLOWER = "slower"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Breaking:
    way: Way
    evidence: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"way": self.way.value, "evidence": list(self.evidence)}


def how(points: Sequence[Point]) -> Breaking:
    """By the throughput of right answers just below the break, just above and farthest beyond; each of seconds in which
    all were present who belong to its rate, so that what is offered grows as the rate does."""
    known = [point for point in points if point.mark is not Mark.UNKNOWN]
    broke = [point for point in known if point.mark is Mark.BROKE]
    edge = min((point.rate for point in broke), default=0.0)
    held = [point for point in known if point.mark is Mark.HELD and point.rate < edge]
    if not held or not broke:
        return Breaking(Way.UNKNOWN, ("nothing was measured on both sides of a break",))
    below = max(held, key=lambda point: point.rate)
    above = min(broke, key=lambda point: point.rate)
    beyond = max(broke, key=lambda point: point.rate)
    before = max(point.answered for point in known if point.rate <= above.rate)
    best = max(point.answered for point in known)
    offered = beyond.rate * (below.answered / below.rate)
    evidence = (
        f"{below.rate:g}/s: {below.answered:.4g} right answers/s, {_wrong(below)}, p99 {_ms(below.p99)}",
        f"{above.rate:g}/s: {above.answered:.4g} right answers/s, {_wrong(above)}, p99 {_ms(above.p99)}",
        f"{beyond.rate:g}/s: {beyond.answered:.4g} of {offered:.4g} answers/s are right, {_wrong(beyond)}",
    )
    if above.answered < KEPT * before:
        return Breaking(Way.CLIFF, evidence)
    if beyond.answered < KEPT * best:
        return Breaking(Way.COLLAPSE, evidence)
    if beyond.wrong >= REFUSED:
        return Breaking(Way.ERRORS, evidence)
    return Breaking(Way.PLATEAU if beyond.answered < ANSWERED * offered else Way.SLOWER, evidence)


def recovery_seconds(good: Sequence[bool | None], *, ends_at: int) -> float | None:
    """How long after the overload's end the limits hold again: the first second that begins CALM_SECONDS good ones, and
    after which all but a hiccup are good. None: not within the run. `good`: by second of it; None where nothing was
    asked."""
    later = list(good[ends_at:])
    for since, second in enumerate(later):
        rest = [each for each in later[since:] if each is not None]
        calm = len(rest) >= CALM_SECONDS and all(rest[:CALM_SECONDS])
        if second and calm and sum(rest) >= CALM_SHARE * len(rest):
            return float(since)
    return None


def _wrong(point: Point) -> str:
    return f"{point.wrong:.1%} wrong"


def _ms(milliseconds: float | None) -> str:
    return "unknown" if milliseconds is None else f"{milliseconds:.4g} ms"

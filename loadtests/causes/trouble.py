"""When visitors began to be served worse, and by what one sees it.

A run is compared with itself: its calm is what a fifth of its seconds stayed below. It is looked at whole and step by
step, for what hurts one step in twenty leaves the p95 of all of them as it was. And it is looked at by who still waits,
for a request has no latency before it is answered: those that wait longest are the last to be seen in one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.causes.courses import ENOUGH, WINDOW, Course, longest, over, usual

CALM = 0.2
SLOWER = 3.0
SLOWER_MS = 100.0
SLOW_MS = 1_000.0
FAILING = 0.01
# Of fewer answers a second the p95 is their slowest one, which chance chooses; half of them it does not.
MANY = 20
# So many more in flight than in calm seconds are no chance either.
PILED_UP = 5


@dataclass(frozen=True, slots=True)
class Sign:
    """`seconds`: in which of them it is seen. `said`: a sentence without its end; `{now:.0f}` is of its course then."""

    seconds: list[bool]
    said: str
    course: Course = ()

    def at(self, second: int) -> bool:
        return second < len(self.seconds) and self.seconds[second]

    def sentence(self, second: int) -> str:
        now = self.course[second] if second < len(self.course) else None
        return self.said.format(now=now or 0.0)


def began(results: Mapping[str, Any]) -> tuple[int, str] | None:
    """The first second of the longest time in which visitors were served worse, and how one sees that. None: they were
    served alike all along. `results`: as `stats.measured` gives them."""
    signs = [*_of_all(results.get("series") or {}), *_of_steps(results.get("by_step") or {})]
    length = max((len(sign.seconds) for sign in signs), default=0)
    at = longest([any(sign.at(second) for sign in signs) for second in range(length)])
    if at is None:
        return None
    return at, next(sign.sentence(at) for sign in signs if sign.at(at))


def _of_all(series: Mapping[str, Any]) -> Iterator[Sign]:
    requests, waiting = series.get("requests") or [], series.get("in_flight") or []
    yield _slow(series.get("p95") or [], "one answer in twenty")
    yield Sign(
        _more(over(series.get("failures") or [], requests), FAILING), f"more than {FAILING:.0%} of all requests failed"
    )
    # A target that stands still has no slow answers: it has none.
    silent = [not answered and bool(there) for answered, there in zip(requests, waiting, strict=False)]
    yield Sign(silent, "nobody was answered while {now:.0f} requests waited", waiting)
    yield _piled_up(requests, waiting)


def _piled_up(requests: Course, waiting: Course) -> Sign:
    """More in flight, beside what is answered in a second: each waits longer, answered or not (Little's law)."""
    each = [None if seconds is None else seconds * 1e3 for seconds in over(waiting, requests)]
    calm = usual(waiting, CALM) or 0.0
    many = _more(waiting, calm + PILED_UP)
    long = _more(each, _mark(usual(each, CALM)))
    both = [there and waits for there, waits in zip(many, long, strict=False)]
    said = f"requests piled up, {{now:.0f}} waited for an answer at a time, beside {calm:.0f} in calm seconds"
    return Sign(_lasting(both), said, waiting)


def _of_steps(by_step: Mapping[str, Any]) -> Iterator[Sign]:
    for name, columns in by_step.items():
        right = [asked - wrong for asked, wrong in zip(columns["requests"], columns["wrong"], strict=True)]
        many = (usual([count or None for count in right]) or 0) >= MANY
        share = "one answer in twenty" if many else "half of the answers"
        slow = _slow(columns["p95" if many else "p50"], f"{share} to {name}")
        yield Sign(_lasting(slow.seconds), slow.said)
        failing = _more(over(columns["wrong"], columns["requests"]), FAILING)
        yield Sign(_lasting(failing), f"more than {FAILING:.0%} of the requests of {name} failed")


def _slow(course: Course, whose: str) -> Sign:
    calm = usual(course, CALM)
    mark = _mark(calm)
    beside = "" if calm is None else f", beside {calm:.0f} ms in calm seconds"
    return Sign(_more(course, mark), f"{whose} took longer than {mark:.0f} ms{beside}")


def _mark(calm: float | None) -> float:
    """Milliseconds beyond which it is worse than in calm."""
    return SLOW_MS if calm is None else min(max(calm * SLOWER, calm + SLOWER_MS), SLOW_MS)


def _more(course: Course, mark: float) -> list[bool]:
    return [value is not None and value > mark for value in course]


def _lasting(seconds: list[bool]) -> list[bool]:
    """Without those that stand alone: of many steps some second of one of them is always odd."""
    kept = [False] * len(seconds)
    for first in range(len(seconds)):
        window = range(first, min(first + WINDOW, len(seconds)))
        if sum(seconds[at] for at in window) >= ENOUGH:
            for at in window:
                kept[at] = seconds[at]
    return kept

"""How old what visitors saw was: the prices on product pages (`sightings.jsonl`) against the moments at which they
changed (`moved.jsonl`).

A price that was true when the page was complete is 0 s old. One that had been true before is as old as the time since
the change that ended it was surely committed; the change may have been committed a little earlier, so the figure is the
least that it can be. A price that was never true at all is a wrong answer and no stale one, and is counted apart.
"""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests import moving
from loadtests.histogram import Histogram

FILE = "sightings.jsonl"
# Clocks of one machine; a sighting may be this much earlier than the change that it shows.
AHEAD_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Sighting:
    """`at`: of time.time(), when the answer was complete."""

    product: str
    price_cents: int
    at: float


@dataclass(slots=True)
class Course:
    """What one product's page was to say: price i from began[i] (at the earliest; done[i] at the latest) on; None
    while it was withdrawn."""

    prices: list[int | None]
    began: list[float]
    done: list[float]

    def age(self, sighting: Sighting) -> float | None:
        """Seconds that the price had not been true for any more; None for one that was never true until then."""
        begun = bisect_right(self.began, sighting.at + AHEAD_SECONDS)  # changes that may be seen already
        for place in range(begun - 1, -1, -1):
            if self.prices[place] == sighting.price_cents:
                ended = self.done[place + 1] if place + 1 < len(self.done) else float("inf")
                return max(0.0, sighting.at - ended)
        return None


@dataclass(slots=True)
class Staleness:
    """`ages` in seconds, 0 included (as 1 us); `of_changed`: sightings of products that had changed by then.
    `never_true`: product, price and moment of prices that the product had at no time of the run, the first few."""

    changes: Counter[str] = field(default_factory=Counter)
    sightings: int = 0
    of_changed: int = 0
    stale: int = 0
    ages: Histogram = field(default_factory=Histogram)
    never_true: int = 0
    examples: list[Sighting] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": dict(self.changes),
            "sightings": self.sightings,
            "of_changed": self.of_changed,
            "stale": self.stale,
            "ages_ms": self.ages.summary(),
            "ages_bars": self.ages.bars(),
            "ages": self.ages.as_json(),
            "never_true": self.never_true,
            "examples": [f"{one.product}: {one.price_cents} at {one.at:.3f}" for one in self.examples],
        }


def measured(run_dir: Path) -> dict[str, Any] | None:
    """Of a run; None where nothing was to move. `mover`: as `moving.told` gives it."""
    moved, mover = moving.read(run_dir), moving.told(run_dir)
    return {**compare(moved, _sightings(run_dir)).as_json(), "mover": mover} if moved or mover else None


def compare(moved: Iterable[Mapping[str, Any]], sightings: Iterable[Sighting]) -> Staleness:
    found = Staleness()
    courses = _courses(moved, found)
    for sighting in sightings:
        found.sightings += 1
        course = courses.get(sighting.product)
        if course is None or sighting.at < course.began[1]:
            continue  # what nobody has changed yet cannot be old
        found.of_changed += 1
        age = course.age(sighting)
        if age is None:
            found.never_true += 1
            found.examples += [sighting] if len(found.examples) < 5 else []
            continue
        found.stale += age > 0
        found.ages.record(age)
    return found


def _courses(moved: Iterable[Mapping[str, Any]], found: Staleness) -> dict[str, Course]:
    changed: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in moved:
        found.changes[str(one["kind"])] += 1
        if one["kind"] == "product" or one.get("before_cents") != one.get("price_cents"):
            changed[str(one["product"])].append(one)
    return {product: _course(sorted(each, key=lambda one: float(one["done"]))) for product, each in changed.items()}


def _course(changes: list[Mapping[str, Any]]) -> Course:
    first = int(changes[0]["before_cents"])
    never = float("-inf")
    return Course(
        prices=[first, *(int(one["price_cents"]) if one["sold"] else None for one in changes)],
        began=[never, *(float(one["began"]) for one in changes)],
        done=[never, *(float(one["done"]) for one in changes)],
    )


def _sightings(run_dir: Path) -> Iterator[Sighting]:
    path = run_dir / FILE
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("}\n"):
                said = json.loads(line)
                yield Sighting(said["product"], said["price_cents"], said["at"])

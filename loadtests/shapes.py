"""When visitors arrive. Arrivals are open: they come at their moment, whether or not those before are done.

A shape is a curve of arrivals per second, in pieces: so many people at once, then a rate that goes from one value to
another in a straight line. Its area is the number of visitors. What a plan calls constant, ramp, burst, staircase,
spike or recorded is such a curve; `constant` spacing sets people at equal steps of its area, `poisson` sets each
anywhere in it, not knowing of the others.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

SPACINGS = ("poisson", "constant")


class ShapeMistake(Exception):
    """No shape: `key` is the part that is wrong, the message says why."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


@dataclass(frozen=True, slots=True)
class Piece:
    """`at_once` people at its beginning, then for `seconds` a rate (per second) that goes from `begin` to `end`."""

    seconds: float
    begin: float
    end: float
    at_once: float = 0.0

    @property
    def people(self) -> float:
        return self.at_once + self.seconds * (self.begin + self.end) / 2

    def longer(self, factor: float) -> "Piece":
        burst = self.at_once > 0 and not self.begin and not self.end
        return Piece(self.seconds * (1 if burst else factor), self.begin, self.end, self.at_once * factor)

    def come_by(self, second: float) -> float:
        """How many have come this many seconds after its beginning."""
        if second < 0:
            return 0.0
        part = min(second, self.seconds)
        slope = (self.end - self.begin) / self.seconds if self.seconds else 0.0
        return self.at_once + part * (self.begin + slope * part / 2)

    def moment(self, person: float) -> float:
        """How many seconds after the piece's beginning `person` of its area have come."""
        left = person - self.at_once
        if left <= 0 or self.seconds == 0:
            return 0.0
        slope = (self.end - self.begin) / self.seconds
        # The quadratic's root in the form that does not lose its digits where the slope is near 0.
        root = math.sqrt(max(0.0, self.begin**2 + 2 * slope * left))
        return min(self.seconds, 2 * left / (self.begin + root)) if self.begin + root > 0 else self.seconds


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind`: as the plan called it."""

    kind: str
    pieces: tuple[Piece, ...]
    spacing: str = "poisson"

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)

    @property
    def people(self) -> float:
        return sum(piece.people for piece in self.pieces)

    @property
    def rate(self) -> float:
        """The mean, per second; of a shape without duration all of them in one."""
        return self.people / self.seconds if self.seconds else self.people

    def come_by(self, second: float) -> float:
        begins = accumulate((piece.seconds for piece in self.pieces), initial=0.0)
        return sum(piece.come_by(second - begin) for piece, begin in zip(self.pieces, begins, strict=False))

    def faster(self, factor: float) -> "Shape":
        """More people in the same time."""
        changed = (
            Piece(piece.seconds, piece.begin * factor, piece.end * factor, piece.at_once * factor)
            for piece in self.pieces
        )
        return Shape(self.kind, tuple(changed), self.spacing)

    def longer(self, factor: float) -> "Shape":
        """The same rates, held for longer; more people by as much. Bursts keep their distance: what comes at once has
        no rate that could be held."""
        return Shape(self.kind, tuple(piece.longer(factor) for piece in self.pieces), self.spacing)

    def moments(self, users: int, chance: random.Random) -> list[float]:
        """Seconds after the start, in order, of exactly so many arrivals spread over the whole shape."""
        area = self.people
        if self.spacing == "constant":
            places: Sequence[float] = [index * area / users for index in range(users)]
        else:
            # A Poisson process of which the number is known: each person independently anywhere in the area.
            places = sorted(chance.random() * area for _ in range(users))
        return list(self._moments_of(places))

    def _moments_of(self, places: Iterable[float]) -> Iterable[float]:
        begins = [0.0, *accumulate(piece.seconds for piece in self.pieces)]
        before = [0.0, *accumulate(piece.people for piece in self.pieces)]
        for place in places:
            at = min(bisect_right(before, place), len(self.pieces)) - 1
            yield begins[at] + self.pieces[at].moment(place - before[at])

    def as_json(self) -> dict[str, Any]:
        pieces = [[piece.seconds, piece.begin, piece.end, piece.at_once] for piece in self.pieces]
        return {"kind": self.kind, "spacing": self.spacing, "pieces": pieces}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Shape":
        return cls(raw["kind"], tuple(Piece(*piece) for piece in raw["pieces"]), raw["spacing"])


def flat(*, rate: float, users: float, spacing: str) -> Shape:
    """So many a second until all are there."""
    return Shape(spacing, (Piece(users / rate, rate, rate),), spacing)

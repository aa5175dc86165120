"""The universal scalability law, fitted to what was measured at several concurrencies.

N. J. Gunther's law says what N requests in flight give together: X(N) = g N / (1 + a (N - 1) + b N (N - 1)). `g` is
what one alone would be answered per second, `a` (contention) the share of the work that only one can do at a time, `b`
(crosstalk) what each costs each other. With a alone the throughput comes near g/a and stays; with b it has a peak.

In an open run N is the mean number in flight, so N/X is the mean time in the system (Little) and the law is a parabola
in N: linear in 1/g, a/g and b/g. It is fitted to relative errors, for a throughput is as exact at 10/s as at 10,000/s.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

FEWEST_POINTS = 6
LEAST_SPREAD = 4.0  # highest concurrency / lowest
FARTHEST = 2.0  # a peak beyond so many times the highest concurrency that was seen is a guess
ROUNDS = 200
LEVEL = 0.95


class TooLittle(Exception):
    """The points do not carry a fit; the message says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a steady load gave: requests in flight on average, and right answers per second."""

    concurrency: float
    throughput: float


@dataclass(frozen=True, slots=True)
class Law:
    alone: float  # answers/s of one request at a time
    contention: float
    crosstalk: float

    def throughput(self, concurrency: float) -> float:
        n = concurrency
        return self.alone * n / (1 + self.contention * (n - 1) + self.crosstalk * n * (n - 1))

    @property
    def peak_concurrency(self) -> float:
        """Where more load begins to give less; infinite without crosstalk."""
        if self.crosstalk <= 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.crosstalk)

    @property
    def ceiling(self) -> float:
        """The most answers/s that the law allows; infinite where nothing bounds it."""
        if self.crosstalk > 0:
            return self.throughput(max(1.0, self.peak_concurrency))
        return self.alone / self.contention if self.contention > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """`error`: root mean square of the relative residuals. `measured_to`: the highest concurrency among the points.
    Intervals hold 95 % of the laws that resampled points give."""

    law: Law
    contention: Interval
    crosstalk: Interval
    ceiling: Interval
    error: float
    measured_to: float

    @property
    def falls(self) -> bool:
        """More load gives less, by more than the points' noise, at a concurrency not far beyond them."""
        return self.crosstalk.low > 0 and self.law.peak_concurrency <= FARTHEST * self.measured_to

    @property
    def sentence(self) -> str:
        law = self.law
        if self.falls:
            where = f"most with {law.peak_concurrency:.3g} in flight: {law.ceiling:.4g}/s, and less beyond"
            return f"{where} (95 %: {self.ceiling.low:.4g} to {self.ceiling.high:.4g}/s)"
        if self.contention.low <= 0:
            return f"no bound is seen up to {self.measured_to:.3g} in flight"
        return f"comes near {law.ceiling:.4g}/s (95 %: {self.ceiling.low:.4g} to {self.ceiling.high:.4g}/s)"

    def as_json(self) -> dict[str, Any]:
        """What is infinite is null."""
        raw = {**asdict(self), "peak_concurrency": self.law.peak_concurrency, "best": self.law.ceiling}
        return {**_finite(raw), "falls": self.falls, "sentence": self.sentence}


def fit(points: Sequence[Loaded], *, seed: int = 1) -> Fit:
    """Raises `TooLittle`. The same points and seed give the same fit."""
    used = [point for point in points if point.concurrency > 0 and point.throughput > 0]
    _refuse_too_little(used)
    law = _law(used)
    chance = random.Random(f"scalability {seed}")  # noqa: S311
    again = [_law(_resampled(used, law, chance)) for _ in range(ROUNDS)]
    return Fit(
        law=law,
        contention=_interval([each.contention for each in again]),
        crosstalk=_interval([each.crosstalk for each in again]),
        ceiling=_interval([each.ceiling for each in again]),
        error=math.sqrt(sum(residual**2 for residual in _residuals(used, law)) / len(used)),
        measured_to=max(point.concurrency for point in used),
    )


def _refuse_too_little(points: Sequence[Loaded]) -> None:
    different = {round(math.log(point.concurrency), 2) for point in points}
    if len(different) < FEWEST_POINTS:
        raise TooLittle(f"{len(different)} different concurrencies were measured; a fit needs {FEWEST_POINTS}")
    spread = max(point.concurrency for point in points) / min(point.concurrency for point in points)
    if spread < LEAST_SPREAD:
        raise TooLittle(f"the concurrencies lie within a factor of {spread:.2g}; a fit needs {LEAST_SPREAD:g}")


def _law(points: Sequence[Loaded]) -> Law:
    """Least squares of relative errors, none of the three below zero: of all subsets of the terms, the best that has
    only positive coefficients (with three terms that is the whole search)."""
    rows = [_row(point) for point in points]
    best, least = (1 / _mean_time(points), 0.0, 0.0), math.inf
    for terms in [(0, *more) for count in (0, 1, 2) for more in combinations((1, 2), count)]:
        solved = _solved([[row[term] for term in terms] for row in rows])
        if solved is None or solved[0] <= 0 or min(solved) < 0:
            continue
        full = [dict(zip(terms, solved, strict=True)).get(term, 0.0) for term in (0, 1, 2)]
        wrong = sum((1 - sum(c * x for c, x in zip(full, row, strict=True))) ** 2 for row in rows)
        if wrong < least:
            best, least = (full[0], full[1], full[2]), wrong
    base, linear, square = best
    return Law(alone=1 / base, contention=linear / base, crosstalk=square / base)


def _row(point: Loaded) -> tuple[float, float, float]:
    """The three terms, divided by the time in the system, so that the sum is to be 1."""
    n, seconds = point.concurrency, point.concurrency / point.throughput
    return 1 / seconds, (n - 1) / seconds, n * (n - 1) / seconds


def _mean_time(points: Sequence[Loaded]) -> float:
    return sum(point.concurrency / point.throughput for point in points) / len(points)


def _solved(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """Coefficients with which the rows come nearest to 1: normal equations, columns scaled, by elimination."""
    width = len(rows[0])
    scale = [math.sqrt(sum(row[j] ** 2 for row in rows)) or 1.0 for j in range(width)]
    scaled = [[row[j] / scale[j] for j in range(width)] for row in rows]
    table = [[sum(row[i] * row[j] for row in scaled) for j in range(width)] for i in range(width)]
    for i, line in enumerate(table):
        line.append(sum(row[i] for row in scaled))
    for i in range(width):
        pivot = max(range(i, width), key=lambda k: abs(table[k][i]))
        table[i], table[pivot] = table[pivot], table[i]
        if abs(table[i][i]) < 1e-12:
            return None
        for k in range(width):
            if k != i:
                factor = table[k][i] / table[i][i]
                table[k] = [a - factor * b for a, b in zip(table[k], table[i], strict=True)]
    return [table[i][width] / table[i][i] / scale[i] for i in range(width)]


def _residuals(points: Sequence[Loaded], law: Law) -> list[float]:
    return [math.log(point.throughput / law.throughput(point.concurrency)) for point in points]


def _resampled(points: Sequence[Loaded], law: Law, chance: random.Random) -> list[Loaded]:
    """The law at the same concurrencies, each with a residual that some point had. Three terms were fitted, which made
    the residuals smaller than the noise, and with few points nobody knows how large the noise is: grown by the first,
    and by about what Student's t has over the normal law."""
    free = len(points) - 3
    grown = math.sqrt(len(points) / free) * (1 + 1.6 / free)
    residuals = [residual * grown for residual in _residuals(points, law)]
    return [
        Loaded(point.concurrency, law.throughput(point.concurrency) * math.exp(chance.choice(residuals)))
        for point in points
    ]


def _interval(values: Sequence[float]) -> Interval:
    ordered = sorted(values)
    tail = (1 - LEVEL) / 2
    return Interval(ordered[int(tail * len(ordered))], ordered[math.ceil((1 - tail) * len(ordered)) - 1])


def _finite(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {name: _finite(value) for name, value in raw.items()}
    return None if isinstance(raw, float) and not math.isfinite(raw) else raw

"""How the coins of a comparison could have fallen, and how far results stand out in each of these ways."""

import math
import random
from collections.abc import Mapping, Sequence
from itertools import product
from operator import mul

ENUMERATED_BLOCKS = 12
SAMPLED_WAYS = 4_096

Way = tuple[int, ...]


def ways(blocks: int) -> list[Way]:
    """How the coins could have fallen, as signs; the first is how they did fall. All signs turned round stand out as
    far, so the first sign stays."""
    if blocks <= ENUMERATED_BLOCKS:
        return [(1, *rest) for rest in product((1, -1), repeat=blocks - 1)]
    chance = random.Random(f"ways {blocks}")  # noqa: S311
    return [(1,) * blocks, *(tuple(chance.choice((1, -1)) for _ in range(blocks)) for _ in range(SAMPLED_WAYS))]


def farthest(values: Mapping[str, Sequence[float]], ways: Sequence[Way]) -> list[float]:
    """For each way the largest |mean / standard error| of all figures."""
    squares = [(each, sum(value * value for value in each)) for each in values.values()]
    return [max(outstanding(signed_sum(each, way), square, len(way)) for each, square in squares) for way in ways]


def signed_sum(values: Sequence[float], way: Way) -> float:
    return math.fsum(map(mul, values, way))


def outstanding(total: float, squares: float, count: int) -> float:
    """|mean / standard error| of `count` values of which the sum and the sum of squares are known: turning signs leaves
    the latter as it is."""
    scatter = squares - total * total / count
    if scatter <= 1e-12 * squares:
        return math.inf if squares else 0.0
    return abs(total) / count / math.sqrt(scatter / (count - 1) / count)


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]

"""Which visits of a log are made, for so many arrivals: whole ones, in the log's order, by weight, with the log's share
of new clients.

Drawn systematically: every visit is made as often as its weight says, to within one. Where there are more arrivals than
visits, visits are made again, by somebody else and a stretch of the run later: the same address asked by many at once
would be a crowd that nobody saw.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from loadtests.replay import mix
from loadtests.replay.store import Store


def groups(store: Store) -> tuple[list[mix.Group], list[int]]:
    """The visits by make-up, and the group of each visit."""
    number_of: dict[tuple[int, bool], int] = {}
    of_visit = [
        number_of.setdefault((store.mix_of(number), bool(store.new[number])), len(number_of))
        for number in range(len(store))
    ]
    counted, mixes = Counter(of_visit), store.mixes
    found = [
        mix.Group(pages=dict(mixes[which]), new=new, visits=counted[group]) for (which, new), group in number_of.items()
    ]
    return found, of_visit


def choose(
    *, store: Store, arrivals: int, factors: Mapping[str, float], seed: int
) -> tuple[list[int], dict[str, float]]:
    """The visit of each arrival, and the mix of pages that is drawn from: of the kinds with factors as wanted, of the
    others as the visits bring them along. Raises `mix.MixMistake`."""
    found, of_visit = groups(store)
    by_group = mix.visit_weights(found, factors)
    weights = [by_group[group] for group in of_visit]
    chance = random.Random(f"replay {seed}")  # noqa: S311 (a sample, not a secret)
    in_order = sorted(range(len(store)), key=lambda number: store.began[number])
    new, old = ([number for number in in_order if bool(store.new[number]) is wanted] for wanted in (True, False))
    places = _places(arrivals, len(new), len(old))
    drawn = [
        *_drawn(new, weights, places, chance.random()),
        *_drawn(old, weights, arrivals - places, chance.random()),
    ]
    rank = {number: place for place, number in enumerate(in_order)}
    return _spread(drawn, rank), mix.shares(found, by_group)


def _places(arrivals: int, new: int, old: int) -> int:
    """How many arrivals are of new clients: the log's share of them."""
    return round(arrivals * new / (new + old))


def _drawn(numbers: Sequence[int], weights: Sequence[float], count: int, start: float) -> list[int]:
    """`count` of them, each as often as its weight says, to within one. `start`: 0 to 1, where the first step falls."""
    if not numbers:
        return []
    edges = list(accumulate(weights[number] for number in numbers))
    step = edges[-1] / count if count else 0.0
    return [numbers[min(bisect_right(edges, (start + place) * step), len(numbers) - 1)] for place in range(count)]


def _spread(drawn: Sequence[int], rank: Mapping[int, int]) -> list[int]:
    """In the log's order; what is drawn several times, evenly over the run, beginning where the log has it."""
    often, made = Counter(drawn), Counter[int]()
    placed = []
    for number in drawn:
        placed.append(((rank[number] / len(rank) + made[number] / often[number]) % 1.0, made[number], number))
        made[number] += 1
    return [number for _, _, number in sorted(placed)]

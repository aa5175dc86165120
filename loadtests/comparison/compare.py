"""Is B slower than A? Decided from blocks of short runs, A B B A or B A A B by the toss of a seeded coin.

Within a block a machine that warms up or fills up in a straight line favours nobody. A block gives one number for each
figure (p50 and p95 of each step, share of failures): the mean of B minus the mean of A, of logarithms for durations, so
that 0.1 is about 10 %. Under no difference each block's number may as well have the other sign, because the coin might
have fallen the other way: all ways in which the coins could have fallen are the yardstick. The largest figure counts
in each of them, so ten figures are not ten chances of a false alarm (Westfall and Young).

The same runs also say what the machine shows where nothing is different: A's runs beside A's, B's beside B's, combined
so that a straight drift drops out (the A/A band). What is smaller than that is not called a difference.
"""

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import product
from operator import mul
from typing import Any

LEVEL = 0.95
FAILED_MARGIN = 0.005  # of requests; a comparison's own margin is one of durations
POWER_Z = 0.8416  # of the normal law: seen in 80 % of comparisons
FEWEST_BLOCKS = 6  # 2 in 2**6 ways are as far out as the farthest: 3 %, below the 5 % at which something is called
ENUMERATED_BLOCKS = 12
SAMPLED_WAYS = 4_096
_ANYTHING = 20.0  # a logarithm of ratios beyond which nothing is known; JSON has no infinity

Figures = Mapping[str, float | None]  # of one run: name -> ms, or a share for those named `failed`


class TooFewBlocks(Exception):
    """The comparison cannot say anything; the message says why."""


class Answer(Enum):
    """Of one figure, and of a comparison."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    EQUAL = "equal within margin"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Block:
    """Four runs in the order in which they were made: `outer`, `inner`, `inner`, `outer`."""

    first: Figures
    second: Figures
    third: Figures
    fourth: Figures
    outer: str  # "a" or "b"


@dataclass(frozen=True, slots=True)
class Effect:
    """Of B against A, as a share: 0.1 is 10 % slower, or for `failed` 10 points more failures. `low` to `high` holds
    the truth of all figures at once in 95 % of comparisons. `band`: what the same showed beside the same. `smallest`:
    the effect that would have been seen in 80 % of such comparisons. `p`: of all ways in which the coins could have
    fallen, the share in which some figure stands out as far."""

    figure: str
    effect: float
    low: float
    high: float
    band: float
    smallest: float
    p: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Comparison:
    answer: Answer
    effects: tuple[Effect, ...]
    blocks: int
    margin: float
    left_out: tuple[str, ...]  # figures that some run does not have

    @property
    def sentence(self) -> str:
        found = [effect for effect in self.effects if effect.answer in (Answer.REGRESSION, Answer.IMPROVEMENT)]
        parts = [f"{effect.answer.value} of {said(effect)}" for effect in found] or [self.answer.value]
        unsure = [effect.figure for effect in self.effects if effect.answer is Answer.CANNOT_TELL]
        if unsure:
            parts.append(f"whether it is within {self.margin:.0%} is not known of {', '.join(unsure)}")
        blind = max(self.effects, key=lambda effect: effect.smallest)
        return "; ".join([*parts, f"what would have been seen: {blind.smallest:.1%} or more ({blind.figure})"])

    def as_json(self) -> dict[str, Any]:
        effects = [{**asdict(effect), "answer": effect.answer.value} for effect in self.effects]
        plain = {"blocks": self.blocks, "margin": self.margin, "left_out": list(self.left_out)}
        return {"answer": self.answer.value, "sentence": self.sentence, **plain, "effects": effects}


def said(effect: Effect) -> str:
    return f"{effect.figure} {effect.effect:+.1%} ({effect.low:+.1%} to {effect.high:+.1%})"


def orders(*, blocks: int, seed: int) -> list[str]:
    """The coins: which side each block begins and ends with. Raises `TooFewBlocks`, before anything was run."""
    if blocks < FEWEST_BLOCKS:
        raise TooFewBlocks(f"{blocks} blocks cannot tell anything from chance; at least {FEWEST_BLOCKS} are needed")
    chance = random.Random(f"blocks {seed}")  # noqa: S311
    return [chance.choice("ab") for _ in range(blocks)]


def compare(blocks: Sequence[Block], *, margin: float) -> Comparison:
    """`margin`: the share below which a difference does not matter. Raises `TooFewBlocks`."""
    if len(blocks) < FEWEST_BLOCKS:
        raise TooFewBlocks(f"{len(blocks)} blocks are complete; at least {FEWEST_BLOCKS} are needed")
    everywhere, left_out = _figures(blocks)
    if not everywhere:
        raise TooFewBlocks("no figure is known of all runs: were there any right answers?")
    between = {name: [_between(block, name) for block in blocks] for name in everywhere}
    within = {name: [_within(block, name) for block in blocks] for name in everywhere}
    ways = _ways(len(blocks))
    farthest = _farthest(between, ways)
    centred = {name: [value - statistics.fmean(values) for value in values] for name, values in between.items()}
    width = _quantile(_farthest(centred, ways), LEVEL)
    effects = tuple(
        _effect(name, between[name], within[name], ways=ways, farthest=farthest, width=width, margin=margin)
        for name in everywhere
    )
    return Comparison(_overall(effects), effects, len(blocks), margin, left_out)


def _figures(blocks: Sequence[Block]) -> tuple[list[str], tuple[str, ...]]:
    runs = [run for block in blocks for run in (block.first, block.second, block.third, block.fourth)]
    names = sorted({name for run in runs for name in run})
    usable = [name for name in names if all(_value(name, run) is not None for run in runs)]
    return usable, tuple(name for name in names if name not in usable)


def _value(name: str, run: Figures) -> float | None:
    value = run.get(name)
    if value is None or is_share(name):
        return value
    return math.log(value) if value > 0 else None


def is_share(name: str) -> bool:
    return name.startswith("failed")


def _four(block: Block, name: str) -> tuple[float, float, float, float]:
    runs = (block.first, block.second, block.third, block.fourth)
    first, second, third, fourth = (_value(name, run) or 0.0 for run in runs)
    return first, second, third, fourth


def _between(block: Block, name: str) -> float:
    first, second, third, fourth = _four(block, name)
    inner_more = (second + third - first - fourth) / 2
    return inner_more if block.outer == "a" else -inner_more


def _within(block: Block, name: str) -> float:
    """The same beside the same: the outer pair lies three runs apart and the inner one one, so a straight drift drops
    out; scaled so that it scatters as `_between` does."""
    first, second, third, fourth = _four(block, name)
    return ((fourth - first) - 3 * (third - second)) / math.sqrt(20)


Way = tuple[int, ...]


def _ways(blocks: int) -> list[Way]:
    """How the coins could have fallen, as signs; the first is how they did fall. All signs turned round stand out as
    far, so the first sign stays."""
    if blocks <= ENUMERATED_BLOCKS:
        return [(1, *rest) for rest in product((1, -1), repeat=blocks - 1)]
    chance = random.Random(f"ways {blocks}")  # noqa: S311
    return [(1,) * blocks, *(tuple(chance.choice((1, -1)) for _ in range(blocks)) for _ in range(SAMPLED_WAYS))]


def _farthest(values: Mapping[str, Sequence[float]], ways: Sequence[Way]) -> list[float]:
    """For each way the largest |mean / standard error| of all figures."""
    squares = [(each, sum(value * value for value in each)) for each in values.values()]
    return [max(_outstanding(_sum(each, way), square, len(way)) for each, square in squares) for way in ways]


def _sum(values: Sequence[float], way: Way) -> float:
    return math.fsum(map(mul, values, way))


def _outstanding(total: float, squares: float, count: int) -> float:
    """|mean / standard error| of `count` values of which the sum and the sum of squares are known: turning signs leaves
    the latter as it is."""
    scatter = squares - total * total / count
    if scatter <= 1e-12 * squares:
        return math.inf if squares else 0.0
    return abs(total) / count / math.sqrt(scatter / (count - 1) / count)


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _effect(
    name: str,
    between: Sequence[float],
    within: Sequence[float],
    *,
    ways: Sequence[Way],
    farthest: Sequence[float],
    width: float,
    margin: float,
) -> Effect:
    count, mean = len(between), statistics.fmean(between)
    error = statistics.stdev(between) / math.sqrt(count)
    reach = min(width * error, _ANYTHING) if error else 0.0
    band = _quantile([abs(_sum(within, way)) / count for way in ways], LEVEL)
    stands = _outstanding(sum(between), sum(value * value for value in between), count)
    p = sum(other >= stands - 1e-9 for other in farthest) / len(farthest)
    back: Callable[[float], float] = (lambda share: share) if is_share(name) else math.expm1
    low, high = back(mean - reach), back(mean + reach)
    answer = _answer(
        effect=back(mean), low=low, high=high, p=p, band=back(band), margin=FAILED_MARGIN if is_share(name) else margin
    )
    return Effect(name, back(mean), low, high, back(band), back(max(band, reach + POWER_Z * error)), p, answer)


def _answer(*, effect: float, low: float, high: float, p: float, band: float, margin: float) -> Answer:
    if -margin < low and high < margin:
        return Answer.EQUAL
    if p <= 1 - LEVEL and abs(effect) > band and low > 0:
        return Answer.REGRESSION
    if p <= 1 - LEVEL and abs(effect) > band and high < 0:
        return Answer.IMPROVEMENT
    return Answer.CANNOT_TELL


def _overall(effects: Sequence[Effect]) -> Answer:
    """One regression is a regression, whatever else got better; equal only if everything is."""
    answers = {effect.answer for effect in effects}
    for answer in (Answer.REGRESSION, Answer.IMPROVEMENT, Answer.CANNOT_TELL):
        if answer in answers:
            return answer
    return Answer.EQUAL

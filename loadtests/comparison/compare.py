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
from typing import Any

from loadtests.comparison import coins

LEVEL = 0.95
FAILED_MARGIN = 0.005  # of requests; a comparison's own margin is one of durations
POWER_Z = 0.8416  # of the normal law: seen in 80 % of comparisons
FEWEST_BLOCKS = 6  # 2 in 2**6 ways are as far out as the farthest: 3 %, below the 5 % at which something is called
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
    missing: tuple[str, ...] = ()  # those of them that all of A's have and at least half of B's do not

    @property
    def sentence(self) -> str:
        found = [effect for effect in self.effects if effect.answer in (Answer.REGRESSION, Answer.IMPROVEMENT)]
        parts = [f"{effect.answer.value} of {said(effect)}" for effect in found] or [self.answer.value]
        if self.missing:
            parts.append(f"B did not answer rightly, or not often enough to say, for {', '.join(self.missing)}")
        unsure = [effect.figure for effect in self.effects if effect.answer is Answer.CANNOT_TELL]
        if unsure:
            parts.append(f"whether it is within {self.margin:.0%} is not known of {', '.join(unsure)}")
        blind = max(self.effects, key=lambda effect: effect.smallest)
        return "; ".join([*parts, f"what would have been seen: {blind.smallest:.1%} or more ({blind.figure})"])

    def as_json(self) -> dict[str, Any]:
        effects = [{**asdict(effect), "answer": effect.answer.value} for effect in self.effects]
        plain = {"blocks": self.blocks, "margin": self.margin, "left_out": list(self.left_out)}
        missing = list(self.missing)
        return {"answer": self.answer.value, "sentence": self.sentence, **plain, "missing": missing, "effects": effects}


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
    ways = coins.ways(len(blocks))
    farthest = coins.farthest(between, ways)
    centred = {name: [value - statistics.fmean(values) for value in values] for name, values in between.items()}
    width = coins.quantile(coins.farthest(centred, ways), LEVEL)
    effects = tuple(
        _effect(name, between[name], within[name], ways=ways, farthest=farthest, width=width, margin=margin)
        for name in everywhere
    )
    missing = _missing(blocks, left_out)
    return Comparison(_overall(effects, missing), effects, len(blocks), margin, left_out, missing)


def _figures(blocks: Sequence[Block]) -> tuple[list[str], tuple[str, ...]]:
    runs = [run for block in blocks for run in (block.first, block.second, block.third, block.fourth)]
    names = sorted({name for run in runs for name in run})
    usable = [name for name in names if all(_value(name, run) is not None for run in runs)]
    return usable, tuple(name for name in names if name not in usable)


def _missing(blocks: Sequence[Block], names: Sequence[str]) -> tuple[str, ...]:
    """What B hardly ever had to show for something that A always did: nothing can be said of it, and it is no matter of
    a percentile that had an answer too few now and then."""
    runs = [(run, side) for block in blocks for run, side in _sides(block)]
    of_a, of_b = ([run for run, side in runs if side == wanted] for wanted in "ab")
    return tuple(
        name
        for name in names
        if all(_value(name, run) is not None for run in of_a)
        and sum(_value(name, run) is None for run in of_b) >= len(of_b) / 2
    )


def _sides(block: Block) -> list[tuple[Figures, str]]:
    inner = "b" if block.outer == "a" else "a"
    return [(block.first, block.outer), (block.second, inner), (block.third, inner), (block.fourth, block.outer)]


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


def _effect(
    name: str,
    between: Sequence[float],
    within: Sequence[float],
    *,
    ways: Sequence[coins.Way],
    farthest: Sequence[float],
    width: float,
    margin: float,
) -> Effect:
    count, mean = len(between), statistics.fmean(between)
    error = statistics.stdev(between) / math.sqrt(count)
    reach = min(width * error, _ANYTHING) if error else 0.0
    band = coins.quantile([abs(coins.signed_sum(within, way)) / count for way in ways], LEVEL)
    stands = coins.outstanding(sum(between), sum(value * value for value in between), count)
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


def _overall(effects: Sequence[Effect], missing: Sequence[str]) -> Answer:
    """One regression is a regression, whatever else got better; equal only if everything is, and nothing passes of
    which B has nothing to show."""
    answers = {effect.answer for effect in effects}
    if missing and Answer.REGRESSION not in answers:
        return Answer.CANNOT_TELL
    for answer in (Answer.REGRESSION, Answer.IMPROVEMENT, Answer.CANNOT_TELL):
        if answer in answers:
            return answer
    return Answer.EQUAL

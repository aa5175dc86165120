"""The runs of a comparison: blocks of four, in the order that the coin says, and what is read from each run. What they
mean is decided in `loadtests/comparison/compare.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loadtests.capacity import pressure
from loadtests.comparison import compare, many
from loadtests.comparison.compare import Answer, Block, Comparison
from loadtests.plans import Plan

# A percentile of fewer answers is a matter of a single one of them.
FEWEST_ANSWERS = {"p50": 10, "p95": 60}
NAME = "comparison.json"


class Unbelievable(Exception):
    """Too many runs say nothing of the target; the message says why."""


def figures(results: Mapping[str, Any]) -> dict[str, float | None]:
    """Of one run: p50 and p95 of each step in ms (None: too few right answers), and the share of failed requests; of
    its plateau, or of all where it had none."""
    part = results["plateau"] or results
    found: dict[str, float | None] = {}
    for name, step in part["steps"].items():
        latency = step["latency_ms"]
        for percentile, fewest in FEWEST_ANSWERS.items():
            found[f"{name} {percentile}"] = latency[percentile] if latency["count"] >= fewest else None
    total = part["total"]
    right, wrong = total["success"], sum(total[kind] for kind in ("failure", "timeout", "untrue"))
    return {**found, "failed": wrong / (right + wrong) if right + wrong else None}


@dataclass(slots=True)
class Comparing:
    """A comparison that is going on. `plans`: of "a" and of "b"."""

    plans: Mapping[str, Plan]
    runs: many.Runs
    seed: int
    margin: float
    say: Callable[[str], None]
    blocks: list[Block] = field(default_factory=list)
    repeated: int = 0
    _kept: list[dict[str, Any]] = field(default_factory=list)

    def go(self, count: int) -> Comparison:
        """All blocks. Raises `TooFewBlocks` before anything is run, `Unbelievable`, `Interrupted`."""
        for number, outer in enumerate(compare.orders(blocks=count, seed=self.seed)):
            self.blocks.append(self._block(number, outer, may_repeat=count // 2))
            self._keep(None)
            self.say(f"block {number + 1} of {count}: {outer}{_other(outer)}{_other(outer)}{outer}")
        found = compare.compare(self.blocks, margin=self.margin)
        self._keep(found)
        return found

    def _block(self, number: int, outer: str, *, may_repeat: int) -> Block:
        """Made anew as a whole when one of its runs is not to be believed, by its own verdict: that is no matter of
        which side was driven, so nobody is favoured."""
        while True:
            ran = [self._one(number, side) for side in (outer, _other(outer), _other(outer), outer)]
            doubts = [why for one in ran for why in pressure.unbelieved(one.kept)]
            if not doubts and all(one.kept["results"] for one in ran):
                seen = [figures(one.kept["results"]) for one in ran]
                names = [one.name for one in ran]
                self._kept.append({"outer": outer, "runs": names, "figures": seen})
                first, second, third, fourth = seen
                return Block(first, second, third, fourth, outer)
            self.repeated += 1
            if self.repeated > may_repeat:
                raise Unbelievable(
                    f"the laboratory was measured, not the target: {doubts[0] if doubts else 'no record'}"
                )

    def _one(self, number: int, side: str) -> many.Ran:
        """The runs of a block have the same arrivals."""
        plan = replace(self.plans[side], seed=self.seed * 1_000 + number)
        return self.runs.one(plan, f"block{number + 1:02d}-{side}")

    def _keep(self, found: Comparison | None) -> None:
        self.runs.keep(
            NAME,
            {
                "plans": {side: plan.as_json() for side, plan in self.plans.items()},
                "blocks": self._kept,
                "repeated": self.repeated,
                "comparison": None if found is None else found.as_json(),
            },
        )


def confirmed(first: Comparison, second: Comparison) -> list[str]:
    """The figures that were called a regression both times. One comparison in twenty may be wrong about the same; two
    that name the same figure, one in some hundreds."""
    return sorted(_regressions(first) & _regressions(second))


def table(found: Comparison) -> Sequence[str]:
    """One line a figure."""
    head = f"{'':<32}{'B against A':>12}{'95 % of all':>22}{'A/A':>8}{'would see':>11}"
    lines = [
        f"{effect.figure:<32}{effect.effect:>+12.1%}{f'{effect.low:+.1%} to {effect.high:+.1%}':>22}"
        f"{effect.band:>8.1%}{effect.smallest:>11.1%}  {effect.answer.value}"
        for effect in found.effects
    ]
    return [head, *lines, *(f"{name:<32}too few answers{_of_b(name, found)}" for name in found.left_out)]


def _of_b(name: str, found: Comparison) -> str:
    return " of B, not of A" if name in found.missing else ""


def _regressions(found: Comparison) -> set[str]:
    return {effect.figure for effect in found.effects if effect.answer is Answer.REGRESSION}


def _other(side: str) -> str:
    return "b" if side == "a" else "a"

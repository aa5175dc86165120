"""The runs of a comparison: their order, what is read from them, and which of them count."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from loadtests import plans
from loadtests.actions import compare as compare_action
from loadtests.comparison import compare, many
from loadtests.comparison.compare import Answer, Comparison, Effect, TooFewBlocks
from loadtests.comparison.comparing import Comparing, Unbelievable, confirmed, figures, table
from loadtests.record import RunDirUnusable

A, B = (
    plans.make(
        scenario="signup", users=10, rate=5.0, duration=None, arrivals="constant", time_scale=0.01, seed=1,
        host=f"http://127.0.0.1:{port}",
    )
    for port in (1, 2)
)  # fmt: skip


def results(milliseconds: float, *, count: int = 100, failed: int = 0) -> dict[str, Any]:
    outcomes = {"success": count, "failure": failed, "timeout": 0, "untrue": 0}
    latency = {"count": count, "p50": milliseconds, "p95": 2 * milliseconds}
    part = {"steps": {"post": {**outcomes, "latency_ms": latency}}, "total": outcomes}
    return {"plateau": part, **part}


@dataclass
class Made(many.Runs):
    """Runs of which the outcome is made up: the order and what counts are asked here, not the generator."""

    asked: list[plans.Plan] = field(default_factory=list)
    tired: frozenset[int] = frozenset()

    def one(self, plan: plans.Plan, name: str, *, audit: many.Audit | None = None) -> many.Ran:
        self.asked.append(plan)
        number = len(self.asked)
        slower = 1.2 if plan.host == B.host else 1.0
        kept = {"results": results(20 * slower * (1 + number % 3 / 1e3)), "limits": []}
        return many.Ran(name, {**kept, "verdict": TIRED if number in self.tired else FINE}, [])


# Nobody audits the books of a short run: that alone makes it invalid, and is no reason not to believe it.
FINE = {"outcome": "INVALID", "checks": [{"name": "the books are right", "mark": "unknown", "detail": "nobody asked"}]}
TIRED = {
    "outcome": "INVALID",
    "checks": [
        *FINE["checks"],
        {"name": "the generator had CPU to spare", "mark": "broken", "detail": "99% of a core"},
    ],
}


def comparing(tmp_path: Path, **changes: Any) -> Comparing:
    made = Made(tmp_path, "typed", root=tmp_path, ledger=tmp_path, **changes)
    return Comparing({"a": A, "b": B}, made, seed=7, margin=0.05, say=lambda text: None)


def test_the_order_is_that_of_the_coins_and_a_block_has_the_same_arrivals(tmp_path: Path) -> None:
    going = comparing(tmp_path)
    found = going.go(6)
    asked = going.runs.asked  # type: ignore[attr-defined]
    for number, outer in enumerate(compare.orders(blocks=6, seed=7)):
        four = asked[4 * number : 4 * number + 4]
        sides = "".join("a" if plan.host == A.host else "b" for plan in four)
        assert sides == {"a": "abba", "b": "baab"}[outer]
        assert {plan.seed for plan in four} == {7_000 + number}
    assert found.answer is Answer.REGRESSION
    kept = json.loads((tmp_path / "comparison.json").read_text())
    assert kept["comparison"]["answer"] == "regression"
    assert len(kept["blocks"]) == 6
    assert any("post p50" in line and "+20" in line for line in table(found))


def test_a_block_in_which_the_generator_was_measured_is_made_anew(tmp_path: Path) -> None:
    going = comparing(tmp_path, tired=frozenset({2}))
    going.go(6)
    assert going.repeated == 1
    assert len(going.runs.asked) == 7 * 4  # type: ignore[attr-defined]


def test_a_generator_that_is_always_tired_compares_nothing(tmp_path: Path) -> None:
    going = comparing(tmp_path, tired=frozenset(range(1000)))
    with pytest.raises(Unbelievable, match="99% of a core"):
        going.go(6)
    assert not going.blocks


def test_too_few_blocks_send_nothing(tmp_path: Path) -> None:
    going = comparing(tmp_path)
    with pytest.raises(TooFewBlocks):
        going.go(5)
    assert not going.runs.asked  # type: ignore[attr-defined]


def test_percentiles_of_few_answers_are_no_figures() -> None:
    assert figures(results(20)) == {"post p50": 20, "post p95": 40, "failed": 0}
    assert figures(results(20, count=30, failed=10)) == {"post p50": 20, "post p95": None, "failed": 0.25}
    assert figures(results(20, count=0)) == {"post p50": None, "post p95": None, "failed": None}


def test_an_alarm_needs_the_same_figure_twice() -> None:
    def said(**answers: Answer) -> Comparison:
        effects = tuple(Effect(name, 0.1, 0.05, 0.15, 0.01, 0.04, 0.01, answer) for name, answer in answers.items())
        return Comparison(Answer.REGRESSION, effects, 8, 0.05, ())

    first = said(one=Answer.REGRESSION, two=Answer.REGRESSION, three=Answer.EQUAL)
    assert confirmed(first, said(one=Answer.EQUAL, two=Answer.REGRESSION, three=Answer.REGRESSION)) == ["two"]
    assert confirmed(first, said(one=Answer.EQUAL, two=Answer.IMPROVEMENT, three=Answer.REGRESSION)) == []


def test_what_uses_up_invitations_is_not_run_many_times() -> None:
    with pytest.raises(plans.PlanMistake, match="purchase"):
        many.demand_repeatable(replace(A, mix={"purchase": 1.0}))


@pytest.mark.parametrize(
    ("results", "event", "by"),
    [
        ({"ended_by": "interrupt"}, "", "interrupt"),
        ({"ended_by": "plan"}, "", None),
        ({"ended_by": "the bystander"}, "", None),
        (None, "termination: everybody leaves", "termination"),
        (None, "the conductor died", None),
    ],
)
def test_a_run_that_somebody_ended_ends_them_all(results: dict[str, str] | None, event: str, by: str | None) -> None:
    assert many.ended_by_hand({"results": results, "events": [{"text": event}]}) == by


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"b": None}, "--b or --plan-b is missing"), ({"blocks": 5}, "--blocks must be 6"), ({"seconds": 0}, "--seconds")],
)
def test_a_comparison_that_cannot_be_made_is_refused_before_a_folder_is(wrong: dict[str, Any], why: str) -> None:
    plain = dict.fromkeys(("time_scale", "timeout", "limit", "environment", "allow_host", "plan_b", "rate"))
    options = {
        **plain,
        "plan": "signup",
        "a": A.host,
        "b": B.host,
        "seed": 1,
        "blocks": 8,
        "seconds": 5,
        "margin": 0.05,
    }
    sides = compare_action.plans(options)
    assert (sides["a"].host, sides["b"].host) == (A.host, B.host)
    with pytest.raises(plans.PlanMistake, match=why):
        compare_action.plans({**options, **wrong})


def test_a_used_folder_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    with pytest.raises(RunDirUnusable, match="not empty"):
        many.begin(chosen=tmp_path, root=tmp_path, what="break", command="")

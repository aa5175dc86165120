"""What a run did beside its load is judged: data that moved, and pages of a log."""

import dataclasses
from typing import Any

import pytest

from loadtests.judgement import besides
from loadtests.judgement.marks import Mark
from loadtests.staleness import Sighting, compare
from loadtests.verdict import Outcome
from tests.loadtests.test_staleness import MOVED
from tests.loadtests.test_verdict import PLAN, broken, verdict

MOVER = {
    "rate": 2.0,
    "seconds": 50.0,
    "changed": 101,
    "failed": 0,
    "why_failed": "",
    "unwritten": 0,
    "alive": True,
}
MOVING = dataclasses.replace(PLAN, moving=2.0)
REPLAYED = {"planned": {"home": 60, "deals": 40}, "achieved": {"home": 60, "deals": 40}, "chi_square": 0.0, "p": 1.0}


def stale(*prices: int, **mover: Any) -> dict[str, Any]:
    return {**compare(MOVED, [Sighting("hat", price, 105) for price in prices]).as_json(), "mover": {**MOVER, **mover}}


def test_a_run_whose_data_moved_as_it_should_has_passed(measured: dict[str, Any]) -> None:
    said = verdict(measured, plan=MOVING, staleness=stale(600, 500), replay=REPLAYED)
    assert said.outcome is Outcome.PASSED
    assert {check.mark for check in said.checks} == {Mark.HOLDS}


def test_a_price_that_was_never_true_is_an_untrue_answer(measured: dict[str, Any]) -> None:
    said = verdict(measured, plan=MOVING, staleness=stale(600, 601, 601))
    assert (said.outcome, broken(said)) == (Outcome.LIMITS_BROKEN, ["every price was the product's at some time"])
    (detail,) = [check.detail for check in said.checks if check.mark is Mark.BROKEN]
    assert "2 of 3 prices" in detail
    assert "hat: 601 at 105.000" in detail


def test_a_shop_that_cannot_change_as_fast_as_it_was_to_is_too_slow(measured: dict[str, Any]) -> None:
    said = verdict(measured, plan=MOVING, staleness=stale(changed=40, failed=60, why_failed="Lock wait timeout"))
    assert (said.outcome, broken(said)) == (Outcome.LIMITS_BROKEN, ["the shop's data moved at the stated rate"])
    assert verdict(measured, plan=MOVING, staleness=stale(changed=85)).outcome is Outcome.PASSED


@pytest.mark.parametrize("found", [None, stale(alive=False), stale(unwritten=1), {**stale(), "mover": None}])
def test_a_run_whose_data_stopped_moving_says_nothing(measured: dict[str, Any], found: dict[str, Any] | None) -> None:
    said = verdict(measured, plan=MOVING, staleness=found)
    assert (said.outcome, broken(said)) == (Outcome.INVALID, ["the shop's data moved to the end"])


def test_other_pages_than_planned_are_another_run(measured: dict[str, Any]) -> None:
    other = {**REPLAYED, "achieved": {"home": 60, "deals": 10}, "chi_square": 15.4, "p": 0.0001}
    assert verdict(measured, replay=REPLAYED).outcome is Outcome.PASSED
    said = verdict(measured, replay=other)
    assert (said.outcome, broken(said)) == (Outcome.INVALID, ["the planned pages were replayed"])


def test_pages_of_visits_that_were_cut_short_are_not_the_laboratorys_fault(measured: dict[str, Any]) -> None:
    other = {**REPLAYED, "achieved": {"home": 60, "deals": 10}, "chi_square": 15.4, "p": 0.0001}
    measured["visitors"] |= {"finished": 8, "cut_off": 2}
    said = verdict(measured, replay=other)
    assert said.outcome is Outcome.LIMITS_BROKEN
    assert "not everybody finished" in next(check.detail for check in said.checks if "pages" in check.name)


def test_what_did_neither_is_asked_for_neither(measured: dict[str, Any]) -> None:
    who = measured["visitors"]
    assert besides.of_target(staleness=None) == []
    assert besides.of_laboratory(moving=0.0, visitors=who, staleness=None, replay=None) == []

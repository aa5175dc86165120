from typing import Any

import pytest

from loadtests import audit
from loadtests.plans import Limits
from loadtests.verdict import Mark, Outcome, Verdict, busiest_window, judge

CLEAN = {"audited": True, "clean": True, "as_of": "now", "invariants": [{"name": "one", "holds": True, "checked": 3}]}
WRONG = {
    "audited": True,
    "clean": False,
    "as_of": "now",
    "invariants": [{"name": "numbers-dense", "holds": False, "checked": 3}],
}
SKIPPED = audit.skipped("--no-audit")


def verdict(measured: dict[str, Any] | None, books: dict[str, Any] = CLEAN) -> Verdict:
    return judge(measured=measured, limits=Limits(), books=books)


def broken(said: Verdict) -> list[str]:
    return [check.name for check in said.checks if check.mark is Mark.BROKEN]


def test_a_good_run_with_clean_books_has_passed(measured: dict[str, Any]) -> None:
    said = verdict(measured)
    assert said.outcome is Outcome.PASSED
    assert said.outcome.value == 0
    assert broken(said) == []


def test_empty_books_are_not_those_of_a_target_that_was_visited(measured: dict[str, Any]) -> None:
    empty = {**CLEAN, "invariants": [{"name": "one", "holds": True, "checked": 0}]}
    said = verdict(measured, empty)
    assert said.outcome is Outcome.INVALID
    assert "STAMPEDE_DATA" in said.checks[-1].detail


@pytest.mark.parametrize("kind", ["failure", "timeout"])
def test_one_failed_request_breaks_the_limits(measured: dict[str, Any], kind: str) -> None:
    measured["total"][kind] = 1
    said = verdict(measured)
    assert said.outcome is Outcome.LIMITS_BROKEN
    assert said.outcome.value == 1
    assert broken(said) == ["no request failed"]


def test_one_untrue_answer_breaks_the_limits(measured: dict[str, Any]) -> None:
    measured["total"]["untrue"] = 1
    assert verdict(measured).outcome is Outcome.LIMITS_BROKEN
    assert broken(verdict(measured)) == ["every answer was true"]


def test_a_visitor_who_did_not_finish_breaks_the_limits(measured: dict[str, Any]) -> None:
    measured["visitors"]["finished"] = 9
    assert verdict(measured).outcome is Outcome.LIMITS_BROKEN


def test_wrong_books_outrank_everything(measured: dict[str, Any]) -> None:
    assert verdict(measured, WRONG).outcome is Outcome.BOOKS_WRONG
    assert verdict(measured, WRONG).outcome.value == 2
    measured["series"]["cpu"] = [1.0] * 10
    assert verdict(measured, WRONG).outcome is Outcome.BOOKS_WRONG
    assert verdict(None, WRONG).outcome is Outcome.BOOKS_WRONG


def test_a_generator_without_cpu_to_spare_makes_the_run_invalid(measured: dict[str, Any]) -> None:
    measured["series"]["cpu"] = [0.1] * 20 + [0.95] * 5
    said = verdict(measured)
    assert said.outcome is Outcome.INVALID
    assert said.outcome.value == 3
    assert broken(said) == ["the generator had CPU to spare"]


def test_late_starts_make_the_run_invalid_even_when_limits_broke(measured: dict[str, Any]) -> None:
    measured["late_starts_ms"]["p99"] = 1000.0
    measured["total"]["failure"] = 5
    assert verdict(measured).outcome is Outcome.INVALID


def test_a_run_whose_books_nobody_looked_at_has_not_passed(measured: dict[str, Any]) -> None:
    said = verdict(measured, SKIPPED)
    assert said.outcome is Outcome.INVALID
    assert "not audited" in said.sentence
    assert said.checks[-1].mark is Mark.UNKNOWN
    assert "books not audited: --no-audit" in said.checks[-1].detail


def test_a_generator_that_left_no_record_is_invalid() -> None:
    said = verdict(None)
    assert said.outcome is Outcome.INVALID
    assert "left no record" in said.sentence


def test_the_busiest_window_is_found_wherever_it_is() -> None:
    assert busiest_window([]) == 0
    assert busiest_window([0.5]) == 0.5
    assert busiest_window([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]) == 1.0
    assert busiest_window([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]) == 0.2


INVARIANT = {"name": "numbers-dense", "holds": True, "checked": 3, "breaches": [], "description": "no gap"}


def test_an_audit_is_clean_only_when_its_word_its_parts_and_its_exit_code_agree() -> None:
    said = {"clean": True, "as_of": "now", "invariants": [INVARIANT]}
    assert audit.understood(said, exit_code=0)["clean"]
    assert not audit.understood(said, exit_code=1)["clean"]
    assert not audit.understood({**said, "clean": False}, exit_code=0)["clean"]
    assert not audit.understood({**said, "invariants": [{**INVARIANT, "holds": False}]}, exit_code=0)["clean"]


def test_an_audit_of_nothing_is_no_audit() -> None:
    with pytest.raises(ValueError, match="nothing"):
        audit.understood({"clean": True, "as_of": "now", "invariants": []}, exit_code=0)


def test_an_audit_that_does_not_answer_leaves_the_books_unaudited(tmp_path: Any) -> None:
    manage = tmp_path / "manage.py"
    manage.write_text("raise SystemExit('no such table')")
    books = audit.run(manage=manage, acknowledged=tmp_path / "acknowledged.jsonl")
    assert not books["audited"]
    assert "no such table" in books["why"]

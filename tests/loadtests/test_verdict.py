import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadtests import audit, crowd, plans, sessions
from loadtests.browsing import wires
from loadtests.frames import Frame, Tally
from loadtests.judgement import achieved, validity, windows
from loadtests.judgement.marks import Mark
from loadtests.judgement.windows import Finding
from loadtests.limits import parse
from loadtests.planning import plan_files
from loadtests.replay import mix
from loadtests.running import sealed
from loadtests.steps import Outcome as Answers
from loadtests.verdict import Outcome, Verdict, judge
from tests.loadtests.small_plan import small_plan

CLEAN = {"audited": True, "clean": True, "as_of": "now", "invariants": [{"name": "one", "holds": True, "checked": 3}]}
WRONG = {
    "audited": True,
    "clean": False,
    "as_of": "now",
    "invariants": [{"name": "numbers-dense", "holds": False, "checked": 3}],
}
SKIPPED = audit.skipped("--no-audit")
PLAN = small_plan()
LAW = {"there": 2.0, "expected": 2.0, "rate": 10.0, "stay": 0.2, "apart": 0.0, "holds": True}


def found(line: str, holds: bool | None, worst: float | None = 0.0) -> Finding:
    return Finding(parse(line), holds, worst, 1)


def verdict(results: dict[str, Any] | None, books: dict[str, Any] = CLEAN, **changes: Any) -> Verdict:
    given: dict[str, Any] = {
        "plan": PLAN,
        "findings": [found("failed == 0", True)],
        "little": {"requests": LAW, "visitors": LAW},
        "mix": {"p": 0.4, "achieved": {"signup": 1.0}, "chi_square": 1.0},
        "counted": None if results is None else {"by": "edge", "requests": results["sent"], "routes": {}},
        "certificate": {"rate": 1000.0, "sessions": 20_000.0, "processes": 1},
    }
    return judge(results=results, books=books, **{**given, **changes})


def broken(said: Verdict) -> list[str]:
    return [check.name for check in said.checks if check.mark is Mark.BROKEN]


def test_a_good_run_with_clean_books_has_passed_and_nothing_is_open(measured: dict[str, Any]) -> None:
    said = verdict(measured)
    assert (said.outcome, said.outcome.value) == (Outcome.PASSED, 0)
    assert {check.mark for check in said.checks} == {Mark.HOLDS}


def test_a_broken_limit_breaks_the_limits(measured: dict[str, Any]) -> None:
    said = verdict(measured, findings=[found("p99 < 250ms", False, 0.3)])
    assert (said.outcome, said.outcome.value) == (Outcome.LIMITS_BROKEN, 1)
    assert broken(said) == ["p99 < 250ms"]
    assert "300ms" in said.checks[0].detail


def test_a_limit_that_nothing_was_measured_for_has_not_been_kept(measured: dict[str, Any]) -> None:
    said = verdict(measured, findings=[found("cpu(web) < 80%", None, None)])
    assert said.outcome is Outcome.INVALID
    assert "one of the limits" in said.sentence


def test_a_broken_limit_of_the_generator_makes_the_run_invalid(measured: dict[str, Any]) -> None:
    assert verdict(measured, findings=[found("cpu(generator) < 70%", False)]).outcome is Outcome.INVALID
    assert verdict(measured, findings=[found("cpu(web) < 70%", False)]).outcome is Outcome.LIMITS_BROKEN


def test_one_untrue_answer_breaks_the_limits_whatever_the_plan_says(measured: dict[str, Any]) -> None:
    measured["total"] |= {"untrue": 1, "success": 9}
    assert verdict(measured, findings=[]).outcome is Outcome.LIMITS_BROKEN
    assert "every answer was true" in broken(verdict(measured))


def test_a_visitor_who_did_not_finish_breaks_the_limits_unless_the_plan_allows_failures(
    measured: dict[str, Any],
) -> None:
    measured["visitors"] |= {"finished": 9, "gave_up": 1}
    assert verdict(measured).outcome is Outcome.LIMITS_BROKEN
    assert verdict(measured, plan=_forgiving("failed <= 10%")).outcome is Outcome.PASSED
    assert "1 of 10 gave up" in verdict(measured, plan=_forgiving("failed <= 10%")).sentence
    measured["visitors"] |= {"gave_up": 0, "cut_off": 1}
    assert verdict(measured, plan=_forgiving("failed <= 10%")).outcome is Outcome.LIMITS_BROKEN


@pytest.mark.parametrize(
    "limits", [("failed < 10%",), ("failed(resource.*) < 50%",), ("gave_up < 50%",), ("failed < 50%", "gave_up < 1%")]
)
def test_more_who_give_up_than_the_plan_allows_of_all_are_not_forgiven(
    measured: dict[str, Any], limits: tuple[str, ...]
) -> None:
    measured["visitors"] |= {"finished": 9, "gave_up": 1}
    assert "all planned visitors arrived and finished" in broken(verdict(measured, plan=_forgiving(*limits)))


def test_a_run_in_which_nobody_finished_has_served_nobody_whatever_the_plan_allows(measured: dict[str, Any]) -> None:
    measured["visitors"] |= {"finished": 0, "gave_up": 10}
    said = verdict(measured, plan=_forgiving("failed <= 100%", "gave_up <= 100%"))
    assert (said.outcome, broken(said)) == (Outcome.LIMITS_BROKEN, ["all planned visitors arrived and finished"])


def _forgiving(*limits: str) -> plans.Plan:
    return dataclasses.replace(PLAN, limits=limits)


def test_half_of_all_failed_breaks_a_plan_that_says_nothing_of_failures() -> None:
    """As in a replay, whose visitors go on after a failure."""
    frame = Frame(at=0, worker=1)
    frame.tallies["signup.landing"] = Tally(outcomes=Counter({Answers.SUCCESS: 5, Answers.FAILURE: 5}))
    held = windows.judged(_forgiving("p99(signup.post) < 1s").limits, frames=[frame], phases=[])
    assert [(one.limit.text, one.holds) for one in held][1:] == [("failed == 0", False), ("untrue == 0", True)]


@pytest.mark.parametrize("by", ["interrupt", "second interrupt", "termination", "the bystander is slower", "No space"])
def test_whoever_was_not_let_in_by_the_laboratory_is_no_fault_of_the_target(measured: dict[str, Any], by: str) -> None:
    measured["ended_by"] = by
    measured["visitors"] |= {"arrived": 4, "finished": 4, "unmet": 6}
    said = verdict(measured)
    assert said.outcome is Outcome.INVALID
    assert "the run went to its end and everybody was let in" in broken(said)
    measured["ended_by"] = "plan"  # a worker that let nobody in
    assert verdict(measured).outcome is Outcome.INVALID


def test_a_limit_that_stops_the_run_and_a_target_too_slow_for_it_are_of_the_target(measured: dict[str, Any]) -> None:
    measured["visitors"] |= {"arrived": 4, "finished": 4, "unmet": 6}
    measured["ended_by"] = "limit broken: untrue == 0 stop (3 in all)"
    assert verdict(measured, findings=[found("untrue == 0 stop", False)]).outcome is Outcome.LIMITS_BROKEN
    measured["visitors"] |= {"arrived": 10, "finished": 4, "cut_off": 6, "unmet": 0}
    measured["ended_by"] = "hard stop"
    assert verdict(measured).outcome is Outcome.LIMITS_BROKEN


def test_bytes_behind_the_end_of_an_answer_are_the_targets(measured: dict[str, Any]) -> None:
    note = "bytes that nobody asked for"
    assert note in Path(str(sessions.__file__)).read_text()
    measured["generator"]["notes"] = {note: 1}
    said = verdict(measured)
    assert (said.outcome, broken(said)) == (Outcome.LIMITS_BROKEN, ["every answer ended where it said"])


def test_a_limit_that_a_shrunk_plan_has_no_window_for_is_said_and_costs_nothing(measured: dict[str, Any]) -> None:
    moot = dataclasses.replace(found("rate > 45/s over 60s", None, None), moot="nobody arrives for 60 s")
    said = verdict(measured, findings=[found("failed == 0", True), moot])
    assert said.outcome is Outcome.PASSED
    assert [check.detail for check in said.checks if check.mark is Mark.UNKNOWN] == [
        "not judged: nobody arrives for 60 s"
    ]


def test_every_answer_and_every_request_is_accounted_for_in_both_directions(measured: dict[str, Any]) -> None:
    """Nine tenths of the answers never counted; and the other way about."""
    measured |= {"sent": 1000, "received": 1000}
    assert {"every answer received was counted", "every request sent has an outcome"} <= set(broken(verdict(measured)))
    measured["total"] |= {"success": 900, "untrue": 0, "failure": 60, "timeout": 30}
    measured |= {"received": 950, "unfit": 50, "sent": 995, "unsent": 5}
    measured["generator"]["notes"] = {"requests cut off by the end": 10}
    assert broken(verdict(measured, findings=[])) == []
    for changed in ({"received": 949}, {"received": 951}, {"unfit": 49}, {"unfit": 51}):
        assert broken(verdict({**measured, **changed}, findings=[])) == ["every answer received was counted"]
    for changed in ({"sent": 994}, {"sent": 996}, {"unsent": 4}):
        assert broken(verdict({**measured, **changed}, findings=[])) == ["every request sent has an outcome"]


def test_a_backlog_that_grows_on_the_plateau_is_not_steady(measured: dict[str, Any]) -> None:
    measured["phases"] = [{"name": "plateau", "start": 9.5, "end": 40.0}]
    measured["series"]["in_flight"] = [0] * 10 + [10] * 30
    assert verdict(measured).outcome is Outcome.PASSED
    measured["series"]["in_flight"] = [0] * 10 + list(range(10, 40))
    assert broken(verdict(measured)) == ["the plateau was steady"]


def test_wrong_books_outrank_everything(measured: dict[str, Any]) -> None:
    assert verdict(measured, WRONG).outcome is Outcome.BOOKS_WRONG
    assert verdict(measured, WRONG).outcome.value == 2
    measured["generator"]["cpu_busiest"] = 1.0
    assert verdict(measured, WRONG).outcome is Outcome.BOOKS_WRONG
    assert verdict(None, WRONG).outcome is Outcome.BOOKS_WRONG


def test_empty_books_are_not_those_of_a_target_that_was_visited(measured: dict[str, Any]) -> None:
    empty = {**CLEAN, "invariants": [{"name": "one", "holds": True, "checked": 0}]}
    said = verdict(measured, empty)
    assert said.outcome is Outcome.INVALID
    assert "STAMPEDE_DATA" in said.checks[-1].detail


def test_a_run_whose_books_nobody_looked_at_has_not_passed(measured: dict[str, Any]) -> None:
    said = verdict(measured, SKIPPED)
    assert said.outcome is Outcome.INVALID
    assert "not audited" in said.sentence
    assert "books not audited: --no-audit" in said.checks[-1].detail


def test_a_generator_that_left_no_record_is_invalid() -> None:
    said = verdict(None)
    assert said.outcome is Outcome.INVALID
    assert "left no record" in said.sentence


# What makes a run INVALID, each by itself; the same values a step to the other side keep it valid.


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"path": path.split("."), "value": value}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("generator.cpu_busiest", 0.9), "the generator had CPU to spare"),
        (_set("late_starts_ms.p99", 1000.0), "visitors started on time"),
        (_set("late_starts_ms.p99", None), "visitors started on time"),
        (_set("visitors.lost", 1), "no visitor was lost with a generator"),
        (_set("generator.notes", {"out of ports": 1}), "the generator ran out of nothing"),
        (_set("generator.notes", {"a scenario broke: KeyError": 1}), "the generator ran out of nothing"),
        (_set("received", 9), "every answer received was counted"),
        (_set("received", 11), "every answer received was counted"),
        (_set("sent", 9), "every request sent has an outcome"),
        (_set("visitors.unmet", 1), "the run went to its end and everybody was let in"),
    ],
)
def test_a_laboratory_that_failed_makes_the_run_invalid_even_when_limits_broke(
    measured: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    *parents, last = change["path"]
    place = measured
    for parent in parents:
        place = place[parent]
    place[last] = change["value"]
    said = verdict(measured, findings=[found("p99 < 1ms", False)])
    assert (said.outcome, said.outcome.value) == (Outcome.INVALID, 3)
    assert named in broken(said)


def test_a_little_less_of_each_leaves_the_run_valid(measured: dict[str, Any]) -> None:
    measured["generator"] |= {"cpu_busiest": 0.89, "notes": {"requests cut off by the end": 3}}
    measured["sent"] += 3
    measured["late_starts_ms"]["p99"] = 999.0
    assert verdict(measured).outcome is Outcome.PASSED


def test_the_targets_count_is_held_against_ours(measured: dict[str, Any]) -> None:
    measured |= {"sent": 10_000, "received": 10_000}

    def said(requests: int, by: str = "edge", **more: Any) -> Mark:
        counted = {"by": by, "requests": requests, **more}
        return next(
            check.mark for check in verdict(measured, counted=counted).checks if check.name.startswith("the target")
        )

    assert said(10_000) is said(9_991) is Mark.HOLDS
    assert said(9_000) is Mark.BROKEN
    assert said(11_000) is said(9_000, by="application") is Mark.UNKNOWN
    # Nothing stands before it that could have answered.
    assert said(9_000, by="application", direct=True) is Mark.BROKEN
    assert said(9_991, by="application", direct=True) is Mark.HOLDS
    measured["received"] = 9_000
    assert said(9_000) is Mark.HOLDS  # what was never answered may never have been heard


def test_a_law_that_does_not_hold_and_a_mix_that_was_not_achieved_make_the_run_invalid(
    measured: dict[str, Any],
) -> None:
    law = {"requests": {**LAW, "apart": 0.2, "holds": False}, "visitors": {**LAW, "holds": None}}
    said = verdict(measured, little=law)
    assert said.outcome is Outcome.INVALID
    assert broken(said) == ["Little's law holds for requests"]
    far = {"p": 0.0001, "achieved": {"signup": 0.6, "browse": 0.4}, "chi_square": 40.0}
    assert broken(verdict(measured, mix=far)) == ["the planned mix was achieved"]
    assert verdict(measured, mix={**far, "p": 0.01}).outcome is Outcome.PASSED


@pytest.mark.parametrize("seed", [419, 783, 1043])
def test_a_mix_is_held_against_who_was_drawn_and_not_against_the_weights(measured: dict[str, Any], seed: int) -> None:
    """Of these seeds of the reference plan chance has drawn a mix that it draws less than once in 1,000."""
    plan = plan_files.chosen("black-friday", default_host=PLAN.host, users=400, seed=seed)
    came = Counter(arrival.scenario for arrival in plan.arrivals())
    assert mix.fit(came, plan.mix).p < validity.UNLIKELY  # type: ignore[operator]
    as_drawn = achieved.mix(plan, [Frame(at=0, worker=1, arrivals=came)])
    assert (as_drawn["exact"], as_drawn["p"]) == (True, 1.0)
    assert verdict(measured, mix=as_drawn).outcome is Outcome.PASSED
    other = Counter({**came, "browse": came["browse"] - 1, "buyer": came["buyer"] + 1})
    off = achieved.mix(plan, [Frame(at=0, worker=1, arrivals=other)])
    assert off["exact"] is False
    assert broken(verdict(measured, mix=off)) == ["the planned mix was achieved"]
    fewer = Counter({**came, "browse": came["browse"] - 1})
    assert achieved.mix(plan, [Frame(at=0, worker=1, arrivals=fewer)])["exact"] is None


def test_beyond_seventy_percent_of_the_certificate_nothing_is_vouched_for(measured: dict[str, Any]) -> None:
    measured["series"]["requests"] = [0, 700, 700, 700, 700, 700]
    assert verdict(measured).outcome is Outcome.PASSED
    measured["series"]["requests"] = [0, 701, 701, 701, 701, 701]
    assert verdict(measured).outcome is Outcome.INVALID
    measured["generator"]["at_once"] = 2  # on the cores on which one was certified
    assert verdict(measured).outcome is Outcome.INVALID
    two = {"rate": 1000.0, "sessions": 20_000.0, "processes": 2}
    assert verdict(measured, certificate=two).outcome is Outcome.PASSED  # each drives a half
    measured["series"]["present"] = [30_000]
    assert verdict(measured, certificate=two).outcome is Outcome.INVALID


def test_a_certificate_says_nothing_of_generators_on_other_machines(measured: dict[str, Any]) -> None:
    measured["generator"]["hosts"] = ["here"]
    assert verdict(measured).outcome is Outcome.PASSED
    measured["generator"]["hosts"] = ["far", "here"]
    assert any("far drove" in check.detail for check in verdict(measured).checks if check.mark is Mark.UNKNOWN)


def test_without_a_certificate_that_is_said(measured: dict[str, Any]) -> None:
    said = verdict(measured, certificate=None)
    assert said.outcome is Outcome.PASSED
    assert any("calibrate" in check.detail for check in said.checks if check.mark is Mark.UNKNOWN)


def test_every_note_that_is_fatal_is_one_that_a_generator_writes() -> None:
    written = "".join(Path(str(module.__file__)).read_text() for module in (sessions, wires, crowd, sealed))
    assert [note for note in validity.FATAL_NOTES if note not in written] == []


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

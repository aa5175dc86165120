"""Reference plans, whole and shrunk, against a target that answers at once: they can be kept."""

from typing import Any

import pytest

from loadtests import stats
from loadtests.frames import Frame
from loadtests.judgement import judging
from loadtests.planning import plan_files
from loadtests.plans import Plan
from loadtests.staleness import Staleness
from loadtests.steps import Ending, Outcome
from tests.loadtests import ideal

BOOKS = {"audited": True, "clean": True, "invariants": [{"name": "one", "holds": True, "checked": 3}]}
HOST = "http://127.0.0.1:1"
SIZES: dict[str, dict[str, Any]] = {
    "whole": {},
    "600 visitors": {"users": 600},
    "1,000 visitors at a tenth": {"users": 1000, "time_scale": 0.1},
    "50 visitors at a hundredth": {"users": 50, "time_scale": 0.01},
    "one visitor": {"users": 1},
}


def judged(plan: Plan, frames: list[Frame]) -> dict[str, Any]:
    seconds = frames[-1].at + 1.0
    assert seconds <= plan.hard_stop_seconds
    results = stats.measured(frames, plan=plan, started_at=0.0, seconds=seconds, ended_by="plan")
    counted = {"by": "edge", "requests": results["sent"]}
    stale = _moved(plan, seconds) if plan.moving else None
    said = judging.judged(plan=plan, frames=frames, results=results, books=BOOKS, counted=counted, staleness=stale)
    return dict(said["verdict"])


def _moved(plan: Plan, seconds: float) -> dict[str, Any]:
    """Whoever saw a product that had changed saw its price. In the smallest runs nobody did."""
    found = Staleness(sightings=plan.users)
    for _ in range(0, plan.users, 100):
        found.of_changed += 1
        found.ages.record(0.0)
    mover = {
        "rate": plan.moving,
        "seconds": seconds,
        "changed": round(plan.moving * seconds),
        "failed": 0,
        "alive": True,
        "unwritten": 0,
    }
    return {**found.as_json(), "mover": mover}


def wrong(verdict: dict[str, Any]) -> list[str]:
    return [f"{check['name']}: {check['detail']}" for check in verdict["checks"] if check["mark"] == "broken"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", plan_files.reference())
def test_a_reference_plan_can_be_kept_whole_and_shrunk(name: str, size: str) -> None:
    plan = plan_files.chosen(name, default_host=HOST, **SIZES[size])
    verdict = judged(plan, ideal.frames(plan))
    assert (wrong(verdict), verdict["outcome"]) == ([], "PASSED")


def test_evenly_is_evenly_with_any_seed() -> None:
    for seed in (2, 3):
        plan = plan_files.chosen("case-study-two", default_host=HOST, users=3000, time_scale=0.1, seed=seed)
        verdict = judged(plan, ideal.frames(plan))
        (rate,) = [check for check in verdict["checks"] if check["name"].startswith("rate")]
        assert (rate["mark"], rate["detail"][:6]) == ("holds", "600/mi")


def test_what_is_not_ideal_is_seen() -> None:
    """Signups at nine tenths of the rate; and one failure, of which nobody knew."""
    plan = plan_files.chosen("case-study-one", default_host=HOST, users=6000, time_scale=0.1)
    slow = ideal.frames(plan)
    for frame in slow:
        tally = frame.tallies.get("signup.post")
        if tally:
            tally.outcomes[Outcome.SUCCESS] = int(tally.outcomes[Outcome.SUCCESS] * 0.85)
    assert any(line.startswith("rate(signup.post)") for line in wrong(judged(plan, slow)))
    failing = ideal.frames(plan)
    failing[30].tallies["signup.post"].outcomes[Outcome.FAILURE] += 1
    assert any(line.startswith("failed == 0") for line in wrong(judged(plan, failing)))
    gone = ideal.frames(plan)
    gone[100].endings["signup", Ending.FINISHED.value] -= 1
    gone[100].endings["signup", Ending.CUT_OFF.value] += 1
    assert any(line.startswith("all planned visitors") for line in wrong(judged(plan, gone)))

"""What one run at one rate says: whether it held, whether it may be believed, and what is read from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from loadtests import plans
from loadtests.capacity import pressure
from loadtests.capacity.breaking import Ask, Mark, Point, Purpose
from loadtests.frames import Frame, Tally
from loadtests.running.shares import unaccounted
from loadtests.steps import Outcome
from tests.loadtests import endless

ASK = Ask(10.0, Purpose.CLIMB)
LIMITS = ("p99(*) < 100ms", "failed < 1%")


def plan(**changes: Any) -> plans.Plan:
    made = plans.make(
        scenario="signup",
        users=10,
        rate=1.0,
        duration=None,
        arrivals="constant",
        time_scale=0.01,
        seed=1,
        host="http://127.0.0.1:1",
        limits=LIMITS,
    )
    return pressure.at_rate(replace(made, **changes), ask=ASK, seconds=9, seed=4)


def run(frames: Sequence[Frame], driven: plans.Plan | None = None, **more: Any) -> Point:
    driven = driven or plan()
    kept = endless.record(driven, frames, **more)
    return pressure.point(plan=driven, ask=ASK, kept=kept, frames=frames, run="x")


def ideal(**changes: Any) -> list[Frame]:
    return endless.frames(plan(), **changes)


def test_the_plateau_of_a_steady_rate_is_as_long_as_was_asked() -> None:
    short = plan()
    plateau = next(phase for phase in short.phases() if phase.name == "plateau")
    assert short.rate == pytest.approx(10)
    assert plateau.end - plateau.start >= 9
    assert short.users == (10 * (3 + 9))  # a journey takes 3 s
    long = pressure.at_rate(plan(), ask=Ask(50.0, Purpose.CONFIRM), seconds=9, seed=4)
    assert long.users == 50 * (3 + 27)


def test_what_keeps_the_limits_holds_and_its_figures_are_of_the_plateau() -> None:
    frames = ideal(seconds=0.02)
    coming = frames[0]  # the first second is none of the plateau
    for _ in range(9):
        coming.tallies["signup.post"].service.record(0.09)
    coming.tallies["signup.post"].outcomes[Outcome.SUCCESS] += 9
    coming.sent, coming.received = coming.sent + 9, coming.received + 9
    coming.in_flight_seconds += 9 * 0.09
    found = run(frames)
    assert (found.mark, found.why) == (Mark.HELD, ())
    assert found.answered == pytest.approx(100, rel=0.02)
    assert found.in_flight == pytest.approx(2, rel=0.02)
    assert found.p99 == pytest.approx(20, rel=1e-3)
    assert (found.wrong, found.timed_out) == (0, 0)


def test_what_breaks_a_limit_or_lies_broke() -> None:
    slow = run(ideal(seconds=0.15))
    assert slow.mark is Mark.BROKE
    assert any("p99(*) < 100ms" in why for why in slow.why)
    liar = ideal()
    liar[5].tallies["signup.poll"].outcomes.update({Outcome.SUCCESS: -1, Outcome.UNTRUE: 1})
    found = run(liar)  # none of the limits says anything about truth
    assert found.mark is Mark.BROKE
    assert any("every answer was true" in why for why in found.why)


@pytest.mark.parametrize("share", [0.91, 1.0])
def test_a_target_that_sheds_its_load_fast_holds_nothing(share: float) -> None:
    """No limit of the plan says anything about failures, and what is answered is fast."""
    fast = plan(limits=("p99(*) < 250ms",))
    frames = endless.frames(fast, failing=share)
    for frame in frames:
        frame.endings = Counter({(who, "gave_up"): count for (who, _), count in frame.endings.items()})
    found = run(frames, fast)
    assert found.mark is not Mark.HELD
    assert found.wrong == pytest.approx(share, abs=0.05)
    assert found.why


def test_a_limit_that_nothing_was_measured_for_was_not_kept() -> None:
    asked = plan(limits=("cpu(web) < 70%", "untrue == 0"))
    found = run(endless.frames(asked), asked)
    assert found.mark is Mark.UNKNOWN
    assert "cpu(web) < 70%: nothing was measured" in found.why[0]


def test_a_queue_that_grows_is_not_steady_even_within_the_limits() -> None:
    growing, kept = ideal(), endless.record(plan(), ideal())
    for frame in growing:
        frame.in_flight_seconds = 8.0 * max(0, frame.at - 2)
    found = pressure.point(plan=plan(), ask=ASK, kept=kept, frames=growing, run="x")
    assert found.mark is Mark.BROKE
    assert "not steady" in found.why[0]
    wandering = ideal()
    for frame in wandering:
        frame.in_flight_seconds = 2.0 + frame.at % 5
    assert pressure.point(plan=plan(), ask=ASK, kept=kept, frames=wandering, run="x").mark is Mark.HELD


def unmet(driven: plans.Plan) -> list[Frame]:
    """The generator lets nobody in from the middle on, and nobody says why: `runs.complete` finds it."""
    seen = endless.frames(driven, until=6.0)
    return [*seen, *unaccounted(driven.arrivals(), seen, why="nobody was there")]


def lost(driven: plans.Plan) -> list[Frame]:
    seen = endless.frames(driven)
    for frame in seen[6:]:
        frame.endings.clear()
    return [*seen, *unaccounted(driven.arrivals(), seen, why="nobody was there")]


def late(driven: plans.Plan) -> list[Frame]:
    seen = endless.frames(driven)
    for frame in seen:
        frame.late.record(3.0)
    return seen


def out_of_ports(driven: plans.Plan) -> list[Frame]:
    seen = endless.frames(driven, seconds=0.5)
    return [replace(frame, notes=Counter({"out of ports": 3})) for frame in seen]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (lost, "lost"),
        (late, "late starts"),
        (out_of_ports, "out of ports"),
        (lambda driven: endless.frames(driven, seconds=0.5, cpu=0.97), "97% of a core"),
        (lambda _: [], "without one"),
    ],
)
def test_what_run_stamps_invalid_says_nothing_about_the_target(frames: Any, why: str) -> None:
    found = run(frames(plan()))
    assert found.mark is Mark.UNKNOWN
    assert any(why in reason for reason in found.why)
    assert not any("p99" in reason for reason in found.why if "late" not in reason)  # its limits are beside the point


def test_a_run_to_which_half_of_the_visitors_never_came_says_nothing() -> None:
    found = run(unmet(plan()))
    assert found.mark is Mark.UNKNOWN
    assert any("60 were not let in" in why for why in found.why)


def test_beyond_what_the_generator_is_certified_for_nothing_is_believed() -> None:
    vouched = {"rate": 1000.0, "sessions": 1000.0, "at": "today"}
    assert run(ideal(), certificate=vouched).mark is Mark.HELD
    found = run(ideal(), certificate={**vouched, "rate": 100.0})
    assert found.mark is Mark.UNKNOWN
    assert "70% are vouched for" in found.why[0]


def test_wrong_books_are_no_reason_not_to_believe_a_run_and_hold_nothing() -> None:
    breach = {"audited": True, "clean": False, "invariants": [{"name": "sums", "checked": 5, "holds": False}]}
    kept = endless.record(plan(), ideal())
    kept["verdict"] = {
        "outcome": "BOOKS_WRONG",
        "checks": [{"name": "the books are right", "mark": "broken", "detail": f"{breach}"}],
    }
    assert pressure.point(plan=plan(), ask=ASK, kept=kept, frames=ideal(), run="x").mark is Mark.BROKE


def test_limits_that_demand_a_rate_are_not_those_of_another_rate() -> None:
    floored = plan(limits=("rate(signup.post) > 45/s over 60s", "arrivals >= 10/s", "p99(*) < 1s", "rate > 1/s"))
    assert "p99(*) < 1s" in floored.limits
    assert not any("rate" in line or "arrivals" in line for line in floored.limits)
    assert set(plan(limits=("rate > 45/s",)).limits) == set(plans.DEFAULT_LIMITS)


def test_no_rate_is_asked_for_that_no_run_can_hold() -> None:
    alone = replace(plan(), time_scale=1.0)
    most = pressure.most_rate(alone, seconds=20)
    fits = pressure.at_rate(alone, ask=Ask(float(f"{most:.4g}"), Purpose.CONFIRM), seconds=20, seed=1)
    assert 0.99 * plans.MOST_USERS < fits.users <= plans.MOST_USERS
    with pytest.raises(plans.PlanMistake, match="users"):
        pressure.at_rate(alone, ask=Ask(1.01 * most, Purpose.CONFIRM), seconds=20, seed=1)


def test_an_overload_is_measured_when_all_are_there_who_belong_to_it_and_is_not_stopped() -> None:
    spiked = pressure.spike(plan(limits=("failed == 0 stop",)), held=40, broke=44, seconds=10, seed=2)
    calm, over, after = spiked.plan.shape.pieces
    assert (calm.begin, over.begin, after.begin) == (20, 66, 20)
    assert (calm.seconds, over.seconds, after.seconds) == (8, 13, 33)
    assert (spiked.begins, spiked.ends) == (11, 21)
    assert "failed == 0" in spiked.plan.limits
    assert not any("stop" in line for line in spiked.plan.limits)


def frame(at: int, *, milliseconds: float = 20.0, right: int = 100, failed: int = 0) -> Frame:
    tally = Tally()
    for _ in range(right):
        tally.service.record(milliseconds / 1e3)
    tally.outcomes.update({Outcome.SUCCESS: right, Outcome.FAILURE: failed})
    return Frame(at=at, worker=1, tallies={"signup.post": tally})


def test_each_second_is_judged_by_itself() -> None:
    frames = [frame(0), frame(1, milliseconds=500), frame(2), frame(4, failed=50), frame(5, right=0)]
    judged = pressure.good_seconds(plan(limits=("p99(*) < 100ms over 10s stop", "failed < 1%")), frames)
    assert judged == [True, False, True, None, False, None]


def test_only_what_was_answered_rightly_and_steadily_goes_into_the_law() -> None:
    held = replace(run(ideal()), in_flight=2.0, answered=100.0)
    points = [held, replace(held, wrong=0.5), replace(held, mark=Mark.UNKNOWN), replace(held, purpose=Purpose.OVERLOAD)]
    assert [(one.concurrency, one.throughput) for one in pressure.loaded(points)] == [(2.0, 100.0)]

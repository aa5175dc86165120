"""What one run at one rate says: whether it held, whether it may be believed, and what is read from it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from loadtests import plans
from loadtests.capacity import pressure
from loadtests.capacity.breaking import Ask, Mark, Purpose
from loadtests.frames import Frame, Tally
from loadtests.steps import Outcome

ASK = Ask(50.0, Purpose.CLIMB)
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


def frame(
    at: int, *, milliseconds: float = 20.0, right: int = 100, failed: int = 0, untrue: int = 0, **changes: Any
) -> Frame:
    tally = Tally()
    for _ in range(right):
        tally.service.record(milliseconds / 1e3)
        tally.intended.record(milliseconds / 1e3)
    tally.outcomes.update({Outcome.SUCCESS: right, Outcome.FAILURE: failed, Outcome.UNTRUE: untrue})
    seen = Frame(at=at, worker=1, tallies={"signup.post": tally}, in_flight_seconds=2.0, cpu=0.2)
    seen.arrivals["signup"] = 50
    seen.late.record(0.001)
    return replace(seen, **changes)


def run(frames: Iterable[Frame]) -> Any:
    return pressure.point(plan=plan(), ask=ASK, frames=list(frames), probes=None, run="x")


def test_the_plateau_of_a_steady_rate_is_as_long_as_was_asked() -> None:
    short = plan()
    plateau = next(phase for phase in short.phases() if phase.name == "plateau")
    assert short.rate == pytest.approx(50)
    assert plateau.end - plateau.start >= 9
    assert short.users == (50 * (3 + 9))  # a journey takes 3 s
    long = pressure.at_rate(plan(), ask=Ask(50.0, Purpose.CONFIRM), seconds=9, seed=4)
    assert long.users == 50 * (3 + 27)


def test_what_keeps_the_limits_holds_and_its_figures_are_of_the_plateau() -> None:
    found = run([frame(0, milliseconds=90, right=5), *(frame(at) for at in range(1, 15))])
    assert (found.mark, found.why) == (Mark.HELD, ())
    assert found.answered == 100
    assert found.in_flight == 2
    assert found.p99 == pytest.approx(20, rel=1e-3)
    assert (found.wrong, found.timed_out) == (0, 0)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"milliseconds": 150.0}, "p99"),
        ({"failed": 5}, "failed < 1%"),
        ({"untrue": 1}, "untrue"),  # none of the limits says anything about truth
    ],
)
def test_what_breaks_a_limit_or_lies_broke(changed: dict[str, Any], why: str) -> None:
    found = run(frame(at, **changed) for at in range(15))
    assert found.mark is Mark.BROKE
    assert any(why in reason for reason in found.why)


def test_a_queue_that_grows_is_not_steady_even_within_the_limits() -> None:
    found = run(frame(at, in_flight_seconds=8.0 * max(0, at - 2)) for at in range(15))
    assert found.mark is Mark.BROKE
    assert "not steady" in found.why[0]
    wandering = run(frame(at, in_flight_seconds=2.0 + at % 5) for at in range(15))
    assert wandering.mark is Mark.HELD


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"cpu": 0.97}, "97% of a core"), ({"notes": {"out of ports": 3}}, "out of ports")],
)
def test_a_generator_at_its_end_says_nothing_about_the_target(changed: dict[str, Any], why: str) -> None:
    broken = [frame(at, milliseconds=500, **changed) for at in range(15)]
    found = run(broken)
    assert found.mark is Mark.UNKNOWN
    assert why in found.why[0]


def test_late_visitors_are_the_generators_doing() -> None:
    frames = [frame(at) for at in range(15)]
    for one in frames:
        one.late.record(3.0)
    assert run(frames).mark is Mark.UNKNOWN


def test_no_frames_are_no_measurement() -> None:
    assert run([]).mark is Mark.UNKNOWN


def test_an_overload_begins_when_all_calm_visitors_are_there_and_is_not_stopped() -> None:
    spiked = pressure.spike(plan(limits=("failed == 0 stop",)), held=40, broke=44, seconds=10, seed=2)
    calm, over, after = spiked.plan.shape.pieces
    assert (calm.begin, over.begin, after.begin) == (20, 66, 20)
    assert (spiked.begins, spiked.ends) == (8, 18)
    assert after.seconds == 33
    assert spiked.plan.limits == ("failed == 0",)


def test_each_second_is_judged_by_itself() -> None:
    frames = [frame(0), frame(1, milliseconds=500), frame(2), frame(4, failed=50), frame(5, right=0)]
    judged = pressure.good_seconds(plan(limits=("p99(*) < 100ms over 10s stop", "failed < 1%")), frames)
    assert judged == [True, False, True, None, False, None]


def test_only_what_was_answered_rightly_and_steadily_goes_into_the_law() -> None:
    held = run(frame(at) for at in range(15))
    points = [held, replace(held, wrong=0.5), replace(held, mark=Mark.UNKNOWN), replace(held, purpose=Purpose.OVERLOAD)]
    assert [(one.concurrency, one.throughput) for one in pressure.loaded(points)] == [(2.0, 100.0)]

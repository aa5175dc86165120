"""How a target breaks is told apart, and recovery is not claimed too early."""

from dataclasses import replace

import pytest

from loadtests import plans
from loadtests.capacity import pressure
from loadtests.capacity.breaking import Ask, Mark, Point, Purpose
from loadtests.capacity.overload import Way, how, recovery_seconds
from tests.loadtests import endless

HELD = [Point(rate, Mark.HELD, answered=rate * 10, p99=20.0) for rate in (10, 50, 100)]
ABOVE = Point(105, Mark.BROKE, answered=1000, p99=400.0)
BEYOND = Point(150, Mark.BROKE, Purpose.OVERLOAD, answered=1000, p99=9_000.0)


@pytest.mark.parametrize(
    ("above", "beyond", "way"),
    [
        (ABOVE, BEYOND, Way.PLATEAU),
        (ABOVE, replace(BEYOND, answered=400.0), Way.COLLAPSE),
        (replace(ABOVE, answered=300.0), replace(BEYOND, answered=250.0), Way.CLIFF),
        (ABOVE, replace(BEYOND, wrong=0.33), Way.ERRORS),
        (ABOVE, replace(BEYOND, answered=1495.0), Way.SLOWER),
        (ABOVE, replace(BEYOND, answered=400.0, wrong=0.6), Way.COLLAPSE),  # it refuses, and does less than before
    ],
)
def test_the_way_is_told_by_throughput(above: Point, beyond: Point, way: Way) -> None:
    found = how([*HELD, above, beyond])
    assert found.way is way
    assert len(found.evidence) == 3


@pytest.mark.parametrize("time_scale", [0.02, 0.1, 1.0])
def test_a_target_of_endless_capacity_does_not_collapse_however_long_its_journeys_are(time_scale: float) -> None:
    """Journeys of 6, 30 and 300 s; an overload of 20 s is a small part of what its visitors ask in all."""
    base = plans.make(
        scenario="signup",
        users=100,
        rate=2.0,
        duration=None,
        arrivals="constant",
        time_scale=time_scale,
        seed=1,
        host="http://127.0.0.1:1",
    )
    points = []
    for rate, mark in ((2.0, Mark.HELD), (2.2, Mark.BROKE)):  # somebody says so: nothing in the frames does
        ask = Ask(rate, Purpose.CONFIRM)
        plan = pressure.at_rate(base, ask=ask, seconds=20, seed=1)
        seen = endless.frames(plan)
        point = pressure.point(plan=plan, ask=ask, kept=endless.record(plan, seen), frames=seen, run="")
        points.append(replace(point, mark=mark))
    spiked = pressure.spike(base, held=2.0, broke=2.2, seconds=20, seed=1)
    seen = endless.frames(spiked.plan)
    kept = endless.record(spiked.plan, seen)
    points.append(pressure.overload_point(spiked=spiked, kept=kept, frames=seen, run=""))
    assert points[-1].answered == pytest.approx(3.3 * endless.STEPS, rel=0.1)
    assert how(points).way is Way.SLOWER


def test_a_run_that_measured_the_generator_says_nothing_of_the_way() -> None:
    blind = replace(BEYOND, rate=300, mark=Mark.UNKNOWN, answered=10.0)
    assert how([*HELD, ABOVE, BEYOND, blind]).way is Way.PLATEAU


def test_without_a_break_or_without_a_hold_nothing_is_claimed() -> None:
    assert how(HELD).way is Way.UNKNOWN
    assert how([ABOVE, BEYOND]).way is Way.UNKNOWN


@pytest.mark.parametrize(
    ("good", "seconds"),
    [
        ([False, False, True, True, True], 2.0),
        ([True, True, True], 0.0),
        ([True, True, True, False, True, True, True], 4.0),  # well, and ill again: not yet recovered at 0
        ([False, None, True, True, True], 2.0),
        ([False, True, True], None),  # too short to know
        ([False, None, None, None, None], None),  # nobody asked any more
        ([False] * 9, None),
        ([False, *[True] * 9, False, *[True] * 9], 1.0),  # a hiccup
        ([False, *[True] * 9, False, False, False, *[True] * 5], 13.0),  # more than that
    ],
)
def test_recovery_begins_with_calm_and_is_for_good(good: list[bool | None], seconds: float | None) -> None:
    assert recovery_seconds([True, False, *good], ends_at=2) == seconds

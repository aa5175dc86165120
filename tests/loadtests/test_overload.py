"""How a target breaks is told apart, and recovery is not claimed too early."""

from dataclasses import replace

import pytest

from loadtests.capacity.breaking import Mark, Point, Purpose
from loadtests.capacity.overload import Way, how, recovery_seconds

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

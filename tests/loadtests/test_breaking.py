"""The search for the highest steady rate, on targets of which it is known; with hiccups, liars and no end."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.actions import break_
from loadtests.capacity.breaking import Ask, Bound, Found, Goal, Mark, Point, Purpose, decide, search
from loadtests.plans import PlanMistake

Measure = Callable[[Ask], Point]


def target(capacity: float, *, hiccups: frozenset[int] = frozenset(), steady: float | None = None) -> Measure:
    """Holds up to its capacity, in long runs only up to `steady`. The runs of these numbers break whatever the rate."""
    made: list[Ask] = []

    def measure(ask: Ask) -> Point:
        made.append(ask)
        bearable = steady if steady and ask.purpose is Purpose.CONFIRM else capacity
        holds = ask.rate <= bearable and len(made) not in hiccups
        return Point(ask.rate, Mark.HELD if holds else Mark.BROKE, ask.purpose)

    return measure


@pytest.mark.parametrize("capacity", [0.7, 3.0, 49.9, 50.0, 120.0, 4321.0])
def test_the_capacity_is_found_to_its_precision_and_confirmed(capacity: float) -> None:
    found, points = search(target(capacity), Goal(start=10))
    assert found.bound is Bound.TARGET
    assert found.rate is not None
    assert found.beyond is not None
    assert found.rate <= capacity < found.beyond
    assert found.beyond / found.rate <= 1.0501
    assert points[-1] == Point(found.rate, Mark.HELD, Purpose.CONFIRM)
    assert len(points) <= 30


def test_one_hiccup_anywhere_changes_nothing() -> None:
    clean, points = search(target(100), Goal(start=10))
    for number in range(1, len(points) + 1):
        found, _ = search(target(100, hiccups=frozenset({number})), Goal(start=10))
        assert found == clean, f"a hiccup in run {number}"


def test_the_control_a_hiccup_that_is_believed_at_once_would_be_the_answer() -> None:
    """Two at the same low rate are believed, and the answer is wrong by much: it is the repetition that guards."""
    found, _ = search(target(100, hiccups=frozenset({3, 4})), Goal(start=10))
    assert found.rate is not None
    assert found.rate < 30


def test_what_holds_for_a_moment_and_not_for_long_is_not_the_answer() -> None:
    found, _ = search(target(100, steady=60), Goal(start=10, most_runs=60))
    assert found.rate is not None
    assert 60 / 1.06 < found.rate <= 60


def test_a_rate_that_holds_by_luck_only_does_not_keep_the_search_for_ever() -> None:
    for seed in range(20):
        chance = random.Random(seed)

        def measure(ask: Ask, chance: random.Random = chance) -> Point:
            return Point(ask.rate, chance.choice([Mark.HELD, Mark.BROKE, Mark.UNKNOWN]), ask.purpose)

        _, points = search(measure, Goal(start=10, most_runs=50))
        assert len(points) <= 50


def test_a_generator_that_cannot_more_is_not_the_targets_break() -> None:
    def measure(ask: Ask) -> Point:
        return Point(ask.rate, Mark.UNKNOWN if ask.rate > 50 else Mark.HELD, ask.purpose)

    found, _ = search(measure, Goal(start=10))
    assert found == Found(40.96, None, Bound.GENERATOR)
    assert found.sentence.startswith("at least 40.96/s")


def test_the_highest_rate_asked_for_is_confirmed_and_not_passed() -> None:
    asked: list[float] = []

    def measure(ask: Ask) -> Point:
        asked.append(ask.rate)
        return Point(ask.rate, Mark.HELD, ask.purpose)

    found, _ = search(measure, Goal(start=10, most=100))
    assert found == Found(100, None, Bound.MOST)
    assert max(asked) == 100


def test_a_target_that_keeps_nothing_ends_the_search() -> None:
    found, points = search(target(0), Goal(start=10))
    assert found.rate is None
    assert found.bound is Bound.TARGET
    assert min(point.rate for point in points) == pytest.approx(0.1)


def test_an_interrupted_search_goes_on_from_its_points() -> None:
    clean, points = search(target(100), Goal(start=10))
    for cut in range(len(points)):
        read = [Point.from_json(point.as_json()) for point in points[:cut]]
        assert search(target(100), Goal(start=10), done=read) == (clean, points)


def test_what_was_measured_beyond_the_break_does_not_move_it() -> None:
    clean, points = search(target(100), Goal(start=10))
    beyond = Point(clean.rate or 0, Mark.BROKE, Purpose.OVERLOAD)
    assert decide([*points, beyond, beyond], Goal(start=10)) == clean


@pytest.mark.parametrize(
    "mistake", [{"start": 0}, {"start": 10, "most": 5}, {"start": 1, "growth": 1}, {"start": 1, "precision": 0}]
)
def test_a_goal_that_cannot_be_searched_is_refused(mistake: dict[str, float]) -> None:
    with pytest.raises(PlanMistake):
        Goal(**mistake)  # type: ignore[arg-type]


def test_a_search_is_refused_or_bounded_before_a_run_would_be_too_large(tmp_path: Path) -> None:
    plain = dict.fromkeys(("time_scale", "timeout", "limit", "environment", "allow_host", "start"))
    options = {**plain, "plan": "signup", "host": "http://127.0.0.1:1", "seed": 1, "seconds": 20.0, "most": 1e5}
    options |= {"precision": 0.05, "most_runs": 40}
    _, goal = break_.asked(options)
    assert goal.most == pytest.approx(1_000_000 / (300 + 3 * 20), rel=0.01)  # a journey of signup takes 300 s
    assert break_.asked({**options, "most": 7.0})[1].most == 7
    with pytest.raises(PlanMistake, match=r"--start must be at most 277\d/s here: a run has at most 1,000,000"):
        break_.asked({**options, "start": 3_000.0})
    thousands = break_.asked({**options, "plan": "thirty-thousand-at-once"})[1]  # 3,000 a second, for 10 s
    assert thousands.start == thousands.most < 2_800
    at_once = tmp_path / "at-once.toml"
    at_once.write_text('users = 50\n[mix]\nsignup = 1\n[shape]\nkind = "burst"\n')
    with pytest.raises(PlanMistake, match="--start is missing: all visitors of this plan come at once"):
        break_.asked({**options, "plan": str(at_once)})
    with pytest.raises(PlanMistake, match="--seconds"):
        break_.asked({**options, "seconds": 0.5})

import itertools
from typing import Any

import pytest

from loadtests import plans


def plan(**changes: Any) -> plans.Plan:
    options: dict[str, Any] = {
        "scenario": "signup",
        "users": 2000,
        "rate": 50.0,
        "duration": None,
        "arrivals": "poisson",
        "time_scale": 0.1,
        "seed": 1,
        "host": "http://127.0.0.1:8000",
    }
    return plans.make(**{**options, **changes})


def test_the_same_seed_has_the_same_arrivals_and_another_seed_others() -> None:
    assert plan().moments() == plan().moments()
    assert plan().moments() != plan(seed=2).moments()


def test_poisson_arrivals_keep_the_rate_and_have_exponential_gaps() -> None:
    moments = plan(users=20_000).moments()
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert 0 <= moments[0] < moments[-1] <= 400
    assert min(gaps) >= 0
    assert sum(gaps) / len(gaps) == pytest.approx(1 / 50, rel=0.03)
    # Of exponential gaps e^-1 are longer than the mean; of constant ones none are.
    assert sum(gap > 1 / 50 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.01)


def test_constant_arrivals_are_evenly_spread() -> None:
    assert plan(users=4, arrivals="constant", rate=2.0).moments() == [0.0, 0.5, 1.0, 1.5]


def test_a_duration_is_a_rate_said_otherwise() -> None:
    assert plan(rate=None, duration=600.0, users=30_000).rate == 50.0


def test_without_either_the_arrivals_take_a_scaled_minute() -> None:
    assert plan(rate=None, users=300, time_scale=0.1).rate == 50.0


def test_a_run_is_bounded_by_its_arrivals_and_the_longest_journey() -> None:
    bounded = plan(users=101, rate=1.0, arrivals="constant", time_scale=0.1)
    assert bounded.hard_stop_seconds == 100 + 30 + plans.GRACE_SECONDS


def test_a_plan_survives_its_record() -> None:
    assert plans.Plan.from_json(plan().as_json()) == plan()


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ({"users": 0}, "--users"),
        ({"users": 10**9}, "--users"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"rate": None, "duration": -1.0}, "--duration"),
        ({"duration": 10.0}, "--duration"),
        ({"time_scale": 0.0}, "--time-scale"),
        ({"time_scale": float("nan")}, "--time-scale"),
        ({"request_timeout": 0.0}, "--timeout"),
        ({"arrivals": "tide"}, "--arrivals"),
        ({"scenario": "flood"}, "scenario"),
    ],
)
def test_a_mistake_is_named(mistake: dict[str, Any], named: str) -> None:
    with pytest.raises(plans.PlanMistake, match=named):
        plan(**mistake)

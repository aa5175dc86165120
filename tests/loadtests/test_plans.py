import dataclasses
import itertools
import json
import math
from typing import Any

import pytest

from loadtests import plans
from loadtests.scenarios import SCENARIOS
from loadtests.shapes import Piece, Shape


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


def test_journeys_take_as_long_as_their_scenarios_say() -> None:
    assert {name: scenario.JOURNEY_SECONDS for name, scenario in SCENARIOS.items()} == plans.JOURNEY_SECONDS


def test_a_run_is_bounded_by_its_arrivals_and_the_longest_journey() -> None:
    bounded = plan(users=101, rate=1.0, arrivals="constant", time_scale=0.1)
    assert bounded.hard_stop_seconds == 100 + 30 + plans.GRACE_SECONDS + bounded.request_timeout


def test_whoever_waits_as_long_as_the_plan_accepts_is_not_cut_off() -> None:
    """30,000 at once: in after 119 s is within its limit, and five minutes of looking follow."""
    slow = plan(users=10, rate=1.0, arrivals="constant", limits=("intended p99(signup.post) < 120s",), time_scale=1.0)
    assert slow.hard_stop_seconds > 9 + 119 + slow.longest_journey
    assert plan(request_timeout=120.0).grace_seconds > 120


@pytest.mark.parametrize(
    ("said", "judged"),
    [
        ((), ("failed == 0", "untrue == 0")),
        (("p99(*) < 1s",), ("p99(*) < 1s", "failed == 0", "untrue == 0")),
        (("failed < 1%",), ("failed < 1%", "untrue == 0")),
        (("failed > 1%", "timeouts < 1%"), ("failed > 1%", "timeouts < 1%", "failed == 0", "untrue == 0")),
        (
            ("failed(resource.*) < 5%", "untrue == 0 stop"),
            ("failed(resource.*) < 5%", "untrue == 0 stop", "failed(* but resource.*) == 0"),
        ),
    ],
)
def test_nothing_fails_and_nothing_is_untrue_beyond_what_a_plan_says(
    said: tuple[str, ...], judged: tuple[str, ...]
) -> None:
    made = plan(limits=said)
    assert made.limits == judged
    assert dataclasses.replace(made, seed=2).limits == judged


def test_a_shrunk_plan_has_as_much_less_of_a_warm_up_and_a_grown_one_no_more() -> None:
    long = plan(users=2000, warm_up_seconds=10.0)
    assert long.changed(users=1000).warm_up_seconds == 5
    assert long.changed(users=100).warm_up_seconds == 0
    assert long.changed(users=4000).warm_up_seconds == long.changed(seed=2).warm_up_seconds == 10
    assert long.changed(users=100, warm_up_seconds=7.0).warm_up_seconds == 7


def test_bursts_of_fewer_people_keep_their_distance() -> None:
    bursts = Shape("burst", (*[Piece(10, 0, 0, 20)] * 4, Piece(0, 0, 0, 20)))
    few = dataclasses.replace(plan(users=100), shape=bursts).changed(users=10)
    assert sorted(set(few.moments())) == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert len(few.moments()) == 10
    silent = Shape("recorded", (Piece(10, 1, 1), Piece(10, 0, 0)))
    assert silent.longer(0.5).seconds == 10


def test_a_plan_survives_its_record() -> None:
    kept = json.loads(json.dumps(plan().as_json()))
    assert plans.Plan.from_json(kept) == plan()
    assert plans.Plan.from_json(kept).arrivals() == plan().arrivals()


def mixed(**changes: Any) -> plans.Plan:
    base = plan(users=10_000)
    return dataclasses.replace(base, name="mixed", mix={"browse": 3.0, "member": 1.0}, **changes)


def test_each_arrival_draws_its_scenario_from_the_mix_and_the_seed() -> None:
    arrivals = mixed().arrivals()
    assert [arrival.index for arrival in arrivals] == list(range(10_000))
    assert sum(arrival.scenario == "browse" for arrival in arrivals) == pytest.approx(7500, abs=150)
    assert arrivals == mixed().arrivals()
    assert [a.scenario for a in arrivals] != [a.scenario for a in mixed(seed=2).arrivals()]


def test_the_plateau_is_where_most_are_present_and_ends_with_the_arrivals() -> None:
    long = plan(users=30_000, rate=50.0, time_scale=1.0)
    spans = [(phase.name, phase.start, phase.end) for phase in dataclasses.replace(long, warm_up_seconds=10).phases()]
    assert [name for name, _, _ in spans] == ["warm-up", "ramp", "plateau", "drain"]
    assert spans[0][1:] == (0, 10)
    assert spans[2][1:] == pytest.approx((270, 600), abs=1)
    assert spans[3][2] == 900


def test_of_a_burst_the_plateau_follows_the_arrivals() -> None:
    phases = plan(users=30_000, rate=3000.0, time_scale=1.0).phases()
    plateau = next(phase for phase in phases if phase.name == "plateau")
    assert (plateau.start, plateau.end) == pytest.approx((9, 301), abs=1)


def test_fewer_users_keep_the_rates_for_a_shorter_time() -> None:
    small = plan(users=2000).changed(users=200)
    assert (small.rate, small.shape.seconds) == pytest.approx((50, 4))
    assert len(small.moments()) == 200
    assert max(small.moments()) <= 4


def test_a_rate_or_a_duration_changes_the_other_and_not_the_visitors() -> None:
    assert plan().changed(rate=100.0).shape.seconds == pytest.approx(20)
    assert plan().changed(duration=20.0).rate == pytest.approx(100)
    assert plan().changed(rate=100.0).users == 2000


def test_what_the_command_line_can_say_is_said_and_else_the_plan_is_a_file() -> None:
    assert plan().as_arguments(file="p.toml")[:5] == ["signup", "--users", "2000", "--rate", "50"]
    assert mixed().as_arguments(file="a/plan.toml") == ["a/plan.toml"]
    assert dataclasses.replace(plan(), limits=("p99 < 1s",)).as_arguments(file="p.toml") == ["p.toml"]


@pytest.mark.parametrize(
    "mistake",
    [
        {"mix": {}},
        {"mix": {"signup": 0.0}},
        {"mix": {"signup": math.nan}},
        {"mix": {"signup": 10**400}},
        {"seed": 10**5000},
        {"mix": {"replay": 1.0}, "time_scale": 1.0},
        {"limits": ("p99 < 3",)},
        {"connections": 0},
        {"warm_up_seconds": -1.0},
        {"processes": 65},
        {"name": "../evil"},
        {"expected": {"*": -1.0}},
    ],
)
def test_a_plan_that_cannot_be_run_cannot_exist(mistake: dict[str, Any]) -> None:
    with pytest.raises(plans.PlanMistake) as refused:
        dataclasses.replace(plan(), **mistake)
    assert refused.value.key in (next(iter(mistake)), "log")


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

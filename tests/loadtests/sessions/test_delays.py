"""A generator that has no time for its visitors says nothing of the target, and says so."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from loadtests import plans, stats
from loadtests.frames import Frame, Recorder
from loadtests.judgement import delays
from loadtests.judgement.marks import Mark
from loadtests.plans import Arrival
from loadtests.running.driving import Driving
from loadtests.sessions import Engine, seconds_since
from loadtests.steps import Journey, Step, Think
from loadtests.verdict import Outcome, Verdict, judge
from tests.loadtests.sessions.conftest import Serve, always, answer

FEW = 5.0  # ms
PLAN = plans.make(
    scenario="signup",
    users=20,
    rate=20.0,
    duration=None,
    arrivals="constant",
    time_scale=0.001,
    seed=1,
    host="http://127.0.0.1",
    limits=(),
)


@pytest.mark.parametrize(
    ("seconds", "holds"),
    [
        ([FEW] * 10, True),
        ([FEW, 300, FEW, 300, FEW, 1_900, 300, FEW], True),  # hiccups of a machine
        ([FEW, 300, 300, 300, 300, 300], False),
        (
            [FEW] * 30 + [120, None] * 5 + [FEW] * 30,
            False,
        ),  # one window of many
        ([FEW] * 30 + [120, FEW, FEW] * 10, True),
        ([FEW] * 10 + [6_000] + [FEW] * 10, False),  # stood still once, for six of ten seconds
        ([FEW] * 10 + [2_000] + [FEW] * 10, True),
    ],
)
def test_enough_disturbed_seconds_of_one_window_are_not_believed(seconds: list[float | None], holds: bool) -> None:
    found = delays.check({"series": {"lag_p99": seconds}}, ())
    assert found.mark is (Mark.HOLDS if holds else Mark.BROKEN), found.detail


def test_what_is_bearable_is_told_by_the_limits_on_intended_times() -> None:
    assert delays.bearable(()) == delays.bearable(("intended p99 < 2s", "p99 < 60ms", "failed == 0")) == 0.1
    assert delays.bearable(("intended p99(signup.post) < 120ms over 10s", "intended p50 < 2s")) == 0.06
    assert delays.bearable(("intended p99 < 1ms",)) == 0.025
    seconds = {"series": {"lag_p99": [80.0] * 10}}
    assert delays.check(seconds, ()).mark is Mark.HOLDS
    assert delays.check(seconds, ("intended p99 < 120ms",)).mark is Mark.BROKEN


def test_delays_that_nobody_kept_are_not_vouched_for() -> None:
    kept: list[dict[str, Any]] = [{}, {"lag_p99": []}, {"lag_p99": [None, None]}]
    assert {delays.check({"series": series}, ()).mark for series in kept} == {Mark.UNKNOWN}


class Asks:
    def journey(self) -> Journey:
        for _ in range(11):
            yield Step("step", "GET", "/")
            yield Think(0.2)


def driven(serve: Serve, *, meanwhile: Callable[[float], object]) -> tuple[dict[str, Any], list[Frame]]:
    """Twenty visitors who ask again and again; `meanwhile` takes the generator's time after each of its turns."""
    frames: list[Frame] = []
    clock = seconds_since(time.time())
    recorder = Recorder(worker=1, clock=clock)
    with serve(always(answer())) as server:
        engine = Engine(
            target=server.target, recorder=recorder, request_timeout=30.0, connections=1, time_scale=1.0, expected={}
        )
        driving = Driving(
            engine=engine,
            recorder=recorder,
            arrivals=[Arrival(index, 0.05 * index, "signup") for index in range(20)],
            visitors={"signup": lambda index: Asks()},
            clock=clock,
            report=frames.append,
            may_begin=lambda: True,
        )
        driving.start()
        while not driving.over:
            engine.turn(0.05)
            meanwhile(clock())
        driving.finish()
        engine.close()
    return stats.measured(frames, plan=PLAN, started_at=0.0, seconds=clock(), ended_by="plan"), frames


def judged(results: dict[str, Any]) -> Verdict:
    clean = {"audited": True, "clean": True, "as_of": "now", "invariants": [{"name": "x", "holds": True, "checked": 1}]}
    return judge(plan=PLAN, results=results, findings=[], books=clean)


def test_a_generator_slowed_after_everybody_has_come_is_invalid(serve: Serve) -> None:
    """Nobody began late and hardly any CPU was used: nothing else tells it."""
    results, _ = driven(serve, meanwhile=lambda now: time.sleep(0.4 if now > 1.2 else 0.0))
    said = judged(results)
    broken = {check.name for check in said.checks if check.mark is Mark.BROKEN}
    assert "the generator kept nobody waiting" in broken
    assert said.outcome is Outcome.INVALID
    assert results["total"]["intended_ms"]["p99"] > results["total"]["latency_ms"]["p99"]


def test_each_delay_of_its_own_is_kept_answers_and_visitors_alike(serve: Serve) -> None:
    once = [0.3]
    _, frames = driven(serve, meanwhile=lambda now: time.sleep(once.pop() if once and now > 0.5 else 0.0))
    late = sum(round(frame.lag.count * frame.lag.share_above(0.1)) for frame in frames)
    # In 0.3 s each of the ten who are there was to be woken, or had an answer lying there.
    assert late >= 5
    assert sum(frame.lag.count for frame in frames) >= sum(frame.received for frame in frames) * 2

"""From the frames of several generators to one run's results."""

import json
from collections import Counter
from typing import Any

import pytest

from loadtests import plans, stats
from loadtests.frames import Frame, Recorder
from loadtests.steps import Ending, Outcome


class Generator:
    """A recorder with a clock in the test's hand, and its frames as they travel."""

    def __init__(self, worker: int = 1) -> None:
        self.now = 0.0
        self.recorder = Recorder(worker=worker, clock=lambda: self.now)
        self.frames: list[Frame] = []

    def arrives(self, count: int = 1, late: float = 0.0) -> None:
        for _ in range(count):
            self.recorder.arrived(scenario="signup", late_seconds=late)

    def leaves(self, ending: Ending, count: int = 1) -> None:
        for _ in range(count):
            self.recorder.ended(scenario="signup", ending=ending)

    def answers(
        self, seconds: float, *, step: str = "post", outcome: Outcome = Outcome.SUCCESS, error: str = ""
    ) -> None:
        self.recorder.asked()
        self.recorder.sent()
        self.recorder.answered(step=step, service=seconds, intended=seconds + 1, outcome=outcome, error=error)

    def second(self, cpu: float = 0.1, rss_bytes: int = 1_000) -> None:
        at = len(self.frames)
        self.now = at + 1.0
        frame = self.recorder.close_second(at=at, cpu=cpu, rss_bytes=rss_bytes, connections=2)
        self.frames.append(Frame.from_json(json.loads(json.dumps(frame.as_json()))))


def plan(users: int = 10, **changes: Any) -> plans.Plan:
    shape = {"rate": 1.0, "duration": None, "arrivals": "constant", "time_scale": 0.01, "seed": 1, **changes}
    return plans.make(scenario="signup", users=users, host="http://127.0.0.1", **shape)


def results(*generators: Generator, users: int = 10) -> dict[str, Any]:
    frames = [frame for generator in generators for frame in generator.frames]
    return stats.measured(frames, plan=plan(users), started_at=1.0, seconds=2.0, ended_by="plan")


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.TIMEOUT, Outcome.UNTRUE])
def test_what_went_wrong_is_counted_and_never_in_a_latency(outcome: Outcome) -> None:
    right, mixed = Generator(), Generator()
    for generator in (right, mixed):
        generator.answers(0.100)
    for _ in range(1000):
        mixed.answers(0.000_1, outcome=outcome, error="fast and wrong")
    for generator in (right, mixed):
        generator.second()
    one, other = results(right), results(mixed)
    for figure in ("latency_ms", "intended_ms", "latency_hdr", "intended_hdr"):
        assert other["total"][figure] == one["total"][figure]
    assert (other["total"][outcome.value], other["total"]["not_latency_ms"]["count"]) == (1000, 1000)
    assert (other["series"]["requests"], other["series"]["failures"]) == ([1001], [1000])
    assert other["series"]["p50"] == one["series"]["p50"]
    assert other["errors"] == [{"step": "post", "kind": outcome.value, "error": "fast and wrong", "count": 1000}]


def test_generators_are_added_up_and_percentiles_not_averaged() -> None:
    fast, slow = Generator(1), Generator(2)
    for _ in range(99):
        fast.answers(0.010)
    slow.answers(1.0)
    fast.second(cpu=0.2, rss_bytes=10)
    slow.second(cpu=0.7, rss_bytes=20)
    found = results(fast, slow)
    assert found["total"]["latency_ms"]["p99"] == pytest.approx(10, rel=1e-3)  # the mean of both would be 505
    assert found["steps"]["post"] == found["total"]
    assert found["total"]["intended_ms"]["max"] == pytest.approx(2000, rel=1e-3)
    assert found["series"]["p99"] == [found["total"]["latency_ms"]["p99"]]
    assert (found["sent"], found["series"]["connections"], found["series"]["cpu"]) == (100, [4], [0.7])
    assert (found["generator"]["workers"], found["generator"]["rss_bytes"]) == (2, 30)


def test_an_account_of_whom_nobody_drove_is_no_generator_and_a_replacement_is_not_one_more_at_a_time() -> None:
    first, second = Generator(1), Generator(2)
    first.second()
    second.second()
    second.second()
    second.frames = second.frames[1:]  # it came when the first had gone
    unmet = Generator(0)
    unmet.frames = [Frame(at=1, worker=0, unmet=Counter(signup=3))]
    found = results(first, second, unmet)["generator"]
    assert (found["workers"], found["at_once"]) == (2, 1)


def test_seconds_follow_one_another_without_holes() -> None:
    early, late = Generator(1), Generator(2)
    early.arrives(2, late=0.25)
    early.answers(0.050)
    early.answers(0.2, step="other", outcome=Outcome.FAILURE)
    early.second()
    for _ in range(4):
        late.second()
    late.answers(0.030)
    late.second()
    del late.frames[1:3]  # nobody said anything of these
    found = results(early, late)
    series = found["series"]
    assert series["at"] == [0, 1, 2, 3, 4]
    assert (series["requests"], series["failures"]) == ([2, 0, 0, 0, 1], [1, 0, 0, 0, 0])
    assert (series["arrivals"], series["present"]) == ([2, 0, 0, 0, 0], [2, 0, 0, 0, 0])
    assert [value is None for value in series["p50"]] == [False, True, True, True, False]
    assert found["by_step"]["other"] == {
        "requests": [1, 0, 0, 0, 0],
        "wrong": [1, 0, 0, 0, 0],
        "p50": [None] * 5,
        "p95": [None] * 5,
        "p99": [None] * 5,
    }
    assert found["late_starts_ms"]["p99"] == pytest.approx(250, rel=1e-3)


def test_the_order_in_which_frames_come_changes_no_total() -> None:
    """Also of a generator that says only now what it saw more than a minute ago."""
    steady, stalled = Generator(1), Generator(2)
    stalled.answers(0.5)
    stalled.second()
    for _ in range(100):
        steady.answers(0.1)
        steady.second()
    found, ordered = results(steady, stalled), results(stalled, steady)
    assert found["total"] == ordered["total"]
    assert found["series"]["requests"] == ordered["series"]["requests"] == [2, *[1] * 99]
    assert found["by_step"]["post"]["requests"] == ordered["by_step"]["post"]["requests"]


def test_a_second_that_was_summed_up_takes_steps_that_nobody_had_told_of() -> None:
    steady, stalled = Generator(1), Generator(2)
    stalled.answers(0.5, step="other", outcome=Outcome.FAILURE)
    stalled.second()
    for _ in range(100):
        steady.answers(0.1)
        steady.second()
    stalled.second()
    stalled.answers(0.5, step="other")
    silent = next(frame for frame in steady.frames if frame.at == 1)
    steady.frames.remove(silent)
    stalled.frames.append(Frame(at=1, worker=2, tallies=silent.tallies))
    found = results(steady, stalled)
    assert found["by_step"]["other"]["requests"][:2] == [1, 0]
    assert found["by_step"]["other"]["wrong"][:2] == [1, 0]
    assert (found["series"]["requests"][:3], found["series"]["failures"][:3]) == ([2, 1, 1], [1, 0, 0])
    assert found["by_step"]["other"]["p50"][0] is None


def test_every_planned_visitor_is_somewhere() -> None:
    alive, killed = Generator(1), Generator(2)
    alive.arrives(4)
    alive.leaves(Ending.FINISHED, 2)
    alive.leaves(Ending.GAVE_UP)
    alive.leaves(Ending.CUT_OFF)
    killed.arrives(3)
    killed.leaves(Ending.FINISHED)
    for generator in (alive, killed):
        generator.second()
    found = results(alive, killed)["visitors"]
    assert found == {
        "planned": 10,
        "arrived": 7,
        "finished": 3,
        "gave_up": 1,
        "cut_off": 1,
        "lost": 2,
        "unmet": 3,
    }


def test_whoever_is_said_to_be_lost_is_not_lost_twice() -> None:
    told = stats.visitors(planned=5, arrived=5, endings=Counter({"finished": 2, "lost": 2}))
    assert (told["lost"], told["unmet"]) == (3, 0)


def test_the_plateau_is_apart_from_what_was_before_and_after() -> None:
    """100 people, one a second, who stay for three: from second 3 to 100 it is as full as it gets."""
    generator = Generator()
    for second in range(103):
        generator.answers(5.0 if second < 2 or second > 100 else 0.010)
        generator.second()
    found = results(generator, users=100)
    assert found["total"]["latency_ms"]["max"] > 4_000
    assert found["plateau"]["total"]["latency_ms"]["max"] < 11
    assert 90 <= found["plateau"]["total"]["success"] <= 100
    assert [phase["name"] for phase in found["phases"]] == ["ramp", "plateau", "drain"]


def test_a_run_that_saw_nothing() -> None:
    found = stats.measured([], plan=plan(), started_at=1.0, seconds=0.0, ended_by="interrupt")
    assert (found["visitors"]["unmet"], found["total"]["success"], found["plateau"]) == (10, 0, None)
    assert (found["series"]["at"], found["generator"]["cpu_busiest"]) == ([], 0.0)


@pytest.mark.parametrize(
    ("shares", "highest"),
    [([], 0.0), ([0.5], 0.5), ([0.0, 0.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.0], 0.9), ([1.0] + [0.0] * 9, 0.2)],
)
def test_the_busiest_seconds_of_a_generator(shares: list[float], highest: float) -> None:
    assert stats.busiest(shares) == pytest.approx(highest)


def test_what_is_in_flight_is_summed_over_time() -> None:
    """Little's law takes these: two requests for half a second are one."""
    generator = Generator()
    recorder = generator.recorder
    generator.arrives()
    recorder.asked()
    recorder.asked()
    generator.now = 0.5
    recorder.answered(step="post", service=0.5, intended=0.5, outcome=Outcome.SUCCESS)
    recorder.cut_off()
    generator.second()
    frame = generator.frames[0]
    assert (frame.in_flight_seconds, frame.present_seconds, frame.in_flight) == (1.0, 1.0, 0)
    assert (frame.sent, frame.notes) == (0, {"requests cut off by the end": 1})


def test_kinds_of_errors_are_bounded_and_their_counts_are_not() -> None:
    generator = Generator()
    for number in range(500):
        generator.answers(0.1, outcome=Outcome.FAILURE, error=f"error {number}")
    generator.second()
    errors = results(generator)["errors"]
    assert len(errors) <= 52
    assert sum(error["count"] for error in errors) == 500

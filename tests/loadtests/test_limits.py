from collections import Counter
from typing import Any

import pytest

from loadtests import limits
from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.judgement import little, windows
from loadtests.judgement.phases import Phase
from loadtests.judgement.seconds import Second
from loadtests.steps import Outcome

PHASES = [Phase("warm-up", 0, 5), Phase("ramp", 5, 10), Phase("plateau", 10, 20), Phase("drain", 20, 30)]


def frame(
    at: int, *, worker: int = 1, step: str = "signup.post", right: Any = (), wrong: Any = (), **more: Any
) -> Frame:
    """`right`: durations in seconds; `wrong`: outcomes."""
    tally = Tally()
    for seconds in right:
        tally.service.record(seconds)
        tally.intended.record(seconds * 2)
    tally.outcomes.update({Outcome.SUCCESS: len(right)})
    tally.outcomes.update(wrong)
    return Frame(at=at, worker=worker, tallies={step: tally}, **more)


def judged(line: str, frames: list[Frame], **more: Any) -> windows.Finding:
    (found,) = windows.judged([line], frames=frames, phases=PHASES, **more)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("p99(signup.post) < 250ms over 10s", ("latency", "signup.post", "p99", 0.25, 10, False)),
        ("  p99.9<=2s  ", ("latency", "*", "p99.9", 2.0, None, False)),
        ("mean(resource.*) < 900us over 60 s stop", ("latency", "resource.*", "mean", 0.0009, 60, True)),
        ("failed < 0.01%", ("failed", "*", "", 0.0001, None, False)),
        ("untrue == 0 stop", ("untrue", "*", "", 0.0, None, True)),
        ("rate(signup.post) > 600/min", ("rate", "signup.post", "", 10.0, None, False)),
        ("cpu(generator) < 70%", ("cpu", "generator", "", 0.7, 5, False)),
        ("present < 20000", ("present", "*", "", 20_000.0, 1, False)),
        ("rss(web) < 2GB", ("rss", "web", "", 2e9, 1, False)),
        (
            "gauge(mariadb.primary.threads_running) <= 30",
            ("gauge", "mariadb.primary.threads_running", "", 30, 1, False),
        ),
        ("failed(* but resource.*) == 0", ("failed", "*", "", 0.0, None, False)),
        ("staleness p99 < 2s", ("staleness", "*", "p99", 2.0, None, False)),
    ],
)
def test_a_line_is_a_limit(line: str, expected: tuple[Any, ...]) -> None:
    limit = limits.parse(line)
    assert (limit.metric, limit.what, limit.statistic) == expected[:3]
    assert (limit.value, limit.window, limit.stop) == (pytest.approx(expected[3]), *expected[4:])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "is no limit"),
        ("fast", "is no limit"),
        ("p99 < -3ms", "is no limit"),
        ("p99 < 3ms over 10s please", "is no limit"),
        ("p99(a) < 3", "needs us or ms or s"),
        ("p0 < 3ms", "percentile"),
        ("p101 < 3ms", "percentile"),
        ("speed < 3ms", "which is none of"),
        ("failed < 3ms", "needs % or nothing"),
        ("rate(a) > 3", "needs /s or /min"),
        ("cpu(web) < 3", "needs %"),
        ("intended failed < 1%", "only for answers"),
        ("gauge < 3", "needs to say whose"),
        ("present(web) < 3", "nothing in brackets"),
        ("late < 3s", "needs a statistic"),
        ("failed p99 == 0", "statistic too much"),
        ("p99 < 3s over 0s", "window"),
        ("p99 < 3s over 4000s", "window"),
        ("p99 < 3s stop", "only over a window"),
        ("failed < 1% stop", "only over a window"),
        ("cpu(web) < 80% stop", "cannot stop the run"),
        ("staleness p99 < 2s over 3s", "takes no window"),
        ("gave_up < 1% over 3s", "takes no window"),
        ("cpu(web but nginx) < 80%", "only steps"),
    ],
)
def test_what_is_no_limit_is_refused_with_its_reason(line: str, reason: str) -> None:
    with pytest.raises(limits.LimitMistake) as refused:
        limits.parse(line)
    assert reason in str(refused.value)
    assert repr(line.strip()) in str(refused.value) or repr(line) in str(refused.value)


def test_each_window_must_keep_it_not_only_the_whole() -> None:
    frames = [frame(at, right=[0.1] * 100) for at in range(30)]
    frames[15] = frame(15, right=[0.1] * 70 + [1.0] * 30)
    assert judged("p95 < 0.5s", frames).holds is True  # 30 of 2,500
    found = judged("p95 < 0.5s over 3s", frames)
    assert (found.holds, found.worst) == (False, pytest.approx(1.0, rel=0.01))
    assert found.at in (15, 16, 17)
    assert judged("p95 < 0.5s over 10s", frames).holds is True  # 30 of 1,000


def test_percentiles_of_generators_and_steps_are_merged_never_averaged() -> None:
    frames = [frame(9, worker=1, right=[0.1] * 99), frame(9, worker=2, right=[1.0])]
    assert judged("p99 < 0.2s", frames).holds is True
    assert judged("max < 0.2s", frames).holds is False
    assert judged("mean < 0.12s", frames).holds is True
    assert judged("p99(other) < 0.2s", frames).holds is None


def test_the_warm_up_is_not_judged_by_times_but_by_wrong_answers() -> None:
    frames = [frame(4, right=[9.0], wrong={Outcome.FAILURE: 1}), frame(5, right=[0.1])]
    assert judged("max < 1s", frames).holds is True
    assert judged("failed == 0", frames).holds is False
    assert judged("max < 1s", [frame(5, right=[9.0])]).holds is False


def test_lower_bounds_are_judged_on_the_plateau_alone() -> None:
    steady = [frame(at, right=[0.1] * (5 if 10 <= at < 20 else 1)) for at in range(30)]
    assert judged("rate(signup.post) > 4/s over 5s", steady).holds is True
    steady[15] = frame(15, right=[])
    assert judged("rate(signup.post) > 4/s over 5s", steady).holds is False
    (nowhere,) = windows.judged(["rate(a) > 4/s"], frames=steady, phases=[])
    assert nowhere.holds is None


def test_wrong_answers_are_shares_of_their_steps() -> None:
    frames = [frame(9, right=[0.1] * 98, wrong={Outcome.TIMEOUT: 1, Outcome.UNTRUE: 1})]
    assert judged("failed < 1.1%", frames).holds is True
    assert judged("failed < 1%", frames).holds is False
    assert judged("timeouts == 0", frames).worst == 1
    assert judged("untrue < 1", frames).holds is False
    assert judged("failed == 0", []).holds is None


def test_a_limit_leaves_out_what_it_says() -> None:
    frames = [frame(9, right=[0.1], wrong={Outcome.FAILURE: 1}), frame(9, worker=2, step="resource.css", right=[9.0])]
    assert judged("failed(* but signup.*) == 0", frames).holds is True
    assert judged("failed(* but resource.*, iframe.*) == 0", frames).holds is False
    assert judged("max(* but resource.*) < 1s", frames).holds is True
    # Nothing else was asked: nothing else was wrong. Of a share nobody can say so, nor of no answers at all.
    assert judged("failed(* but signup.*) == 0", frames[:1]).holds is True
    assert judged("failed(* but signup.*) < 5%", frames[:1]).holds is None
    assert judged("failed(* but signup.*) == 0", []).holds is None
    assert judged("failed(signup.pots) == 0", frames).holds is None


def test_a_rate_is_demanded_only_while_people_arrive_and_for_whole_windows() -> None:
    """As many are present to second 20, and the last comes in second 14."""
    phases = [Phase(phase.name, phase.start, phase.end, 14.0) for phase in PHASES]
    frames = [frame(at, right=[0.1] * (5 if at < 14 else 0), arrivals=Counter(x=5)) for at in range(30)]

    def said(line: str) -> windows.Finding:
        return windows.judged([line], frames=frames, phases=phases)[0]

    assert said("rate(signup.post) > 4/s over 4s").holds is True
    assert said("rate(signup.post) > 6/s over 4s").holds is False
    for line in ("rate(signup.post) > 4/s over 5s", "arrivals > 9/s over 5s"):
        assert (said(line).holds, said(line).detail[:10]) == (None, "not judged")
        assert said(line).moot
    assert said("rate(signup.post) < 6/s over 5s").holds is True


def test_intended_times_are_others_than_service_times() -> None:
    frames = [frame(9, right=[0.1] * 10)]
    assert judged("p50 < 0.15s", frames).holds is True
    assert judged("intended p50 < 0.15s", frames).holds is False


def test_levels_loads_visitors_and_probes() -> None:
    frames = [frame(at, worker=worker, present=60, cpu=0.5 * worker) for at in range(9, 12) for worker in (1, 2)]
    frames[0].endings = Counter({("signup", "gave_up"): 2})
    frames[0].arrivals = Counter({"signup": 100})
    assert judged("present <= 120", frames).worst == 120
    assert judged("present < 120", frames).holds is False
    assert judged("cpu(generator) < 90%", frames).worst == 1.0  # the busiest, over a run that is shorter than 5 s
    assert judged("gave_up < 2%", frames).holds is False
    assert judged("gave_up <= 2%", frames).holds is True
    probes = {"at": [9, 10], "groups": {"web": {"cpu": [0.4, None]}}, "gauges": {"redis.memory": [5.0, 7.0]}}
    assert judged("cpu(web) < 50%", frames, probes=probes).worst == 0.4
    assert judged("gauge(redis.memory) < 7", frames, probes=probes).holds is False
    assert judged("cpu(web) < 50%", frames).holds is None
    stale = Histogram()
    stale.record(3.0)
    assert judged("staleness p99 < 2s", frames, staleness=stale).holds is False
    assert (judged("staleness p99 < 2s", frames).holds, judged("staleness p99 < 2s", frames).moot) == (None, "")
    assert judged("staleness p99 < 2s", frames, staleness=Histogram()).moot


def test_a_stop_is_said_in_the_second_in_which_the_window_is_full_and_broken() -> None:
    watching = windows.Watching(["p99 < 1s over 3s stop", "failed == 0 stop", "max < 1ms"], PHASES)
    told = []
    for at in range(5, 12):
        right = [2.0] if at >= 9 else [0.1]
        told.append([found.limit.text for found in watching.take(Second(at, [frame(at, right=right)]))])
    assert told == [[], [], [], [], ["p99 < 1s over 3s stop"]] + [["p99 < 1s over 3s stop"]] * 2
    wrong = Second(12, [frame(12, wrong={Outcome.FAILURE: 1})])
    assert "failed == 0 stop" in [found.limit.text for found in watching.take(wrong)]


def test_a_finding_is_said_in_the_limits_own_unit_with_the_seconds_of_its_window() -> None:
    frames = [frame(at, right=[0.25 if at == 8 else 0.1]) for at in range(5, 12)]
    highest = Histogram({249_984: 1}).percentile_ms(100) or 0  # of the range that holds 250 ms
    expected = f"{highest * 1000:,.0f}us at worst, in the seconds 8 to 8"
    assert judged("max < 300us over 1s", frames).detail == expected
    assert judged("failed < 5%", frames).detail == "0% in all"


# Little's law


def run_of(*, there: float = 100.0, right: int = 1000, seconds: float = 0.1, **more: Any) -> list[Frame]:
    return [frame(0, right=[seconds] * right, in_flight_seconds=there, **more)]


def test_littles_law_holds_where_the_integral_is_the_sum_of_the_durations() -> None:
    law = little.of(run_of(), seconds=100)["requests"]
    assert law["holds"] is True
    assert (law["there"], law["rate"], law["stay"]) == pytest.approx((1.0, 10.0, 0.1), rel=0.01)


@pytest.mark.parametrize("there", [94.0, 106.0])
def test_littles_law_is_broken_by_more_than_five_percent(there: float) -> None:
    assert little.of(run_of(there=there), seconds=100)["requests"]["holds"] is False


def test_littles_law_says_nothing_of_too_few_or_of_what_never_ended() -> None:
    assert little.of(run_of(right=99, there=1.0), seconds=100)["requests"]["holds"] is None
    cut = run_of(there=200.0, notes=Counter({"requests cut off by the end": 1}))
    assert little.of(cut, seconds=100)["requests"]["holds"] is None
    assert little.of([], seconds=0.0)["visitors"]["holds"] is None


def test_littles_law_of_visitors_who_stay_long_enough_to_be_told_by_seconds() -> None:
    def frames(integral: float, end: int) -> list[Frame]:
        came, left = Counter({"signup": 100}), Counter({("signup", "finished"): 100})
        return [
            Frame(at=0, worker=1, arrivals=came, present_seconds=integral),
            Frame(at=end, worker=1, endings=left),
        ]

    assert little.of(frames(2000.0, 20), seconds=20)["visitors"]["holds"] is True
    assert little.of(frames(2200.0, 20), seconds=20)["visitors"]["holds"] is False
    assert little.of(frames(100.0, 1), seconds=20)["visitors"]["holds"] is None

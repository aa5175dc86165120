"""Programmes of known answers: what they draw has the distribution that was asked for."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from loadtests.calibrating.programme import Freeze, ProgrammeMistake, parse


@pytest.mark.parametrize(
    ("text", "quantiles_ms"),
    [
        ("constant:20ms", (20, 20, 20)),
        ("uniform:10ms,30ms", (20, 29, 29.8)),
        ("exponential:20ms", (13.863, 59.915, 92.103)),  # -20 ln(1 - p)
        ("lognormal:20ms,0.5", (20, 45.52, 64.0)),  # 20 exp(0.5 z); z = 1.6449 and 2.3263
        ("steps:10ms*90,50ms*8,1s*2", (10, 50, 1000)),
    ],
)
def test_quantiles_are_those_of_the_distribution(text: str, quantiles_ms: tuple[float, float, float]) -> None:
    found = [parse(f"latency={text}").latency.percentile_ms(percentile) for percentile in (50, 95, 99)]
    assert found == pytest.approx(list(quantiles_ms), rel=1e-3)


@pytest.mark.parametrize(("draw", "within"), [("even", 0.004), ("random", 0.1)])
def test_draws_have_the_quantiles_and_the_errors_their_rate(draw: str, within: float) -> None:
    programme = parse(f"latency=lognormal:20ms,0.5&answers=503*5,close*1&wrong=constant:1ms&draw={draw}")
    drawn = list(islice(programme.draws(), 4_000))
    right = sorted(one.seconds for one in drawn if one.kind == "200")
    for percentile in (50, 95, 99):
        truly = programme.latency.percentile_ms(percentile) / 1e3
        assert right[int(len(right) * percentile / 100)] == pytest.approx(truly, rel=within if percentile < 99 else 0.1)
    kinds = Counter(one.kind for one in drawn)
    assert kinds["503"] / len(drawn) == pytest.approx(0.05, abs=0.015)
    assert kinds["close"] / len(drawn) == pytest.approx(0.01, abs=0.008)
    assert {one.seconds for one in drawn if one.kind == "503"} == {0.001}


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    first, again, other = (
        list(islice(parse(f"latency=exponential:1s&seed={seed}&name={name}").draws(), 20))
        for seed, name in ((1, "a"), (1, "b"), (2, "a"))
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("received", "seconds", "due"),
    [
        (1.0, 0.5, 1.5),  # over before it stands still
        (9.9, 0.5, 16.0),  # in the middle of it
        (12.0, 0.5, 16.5),  # looked at when it goes on
        (16.0, 0.5, 16.5),
    ],
)
def test_a_freeze_holds_whatever_is_due_in_it(received: float, seconds: float, due: float) -> None:
    assert Freeze(10.0, 16.0).due(received, seconds) == due


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("latency=20ms", "is none of constant"),
        ("latency=constant:20", "no unit"),
        ("latency=constant:-1ms", "not between 0 and 120"),
        ("latency=constant:nans", "not between 0 and 120"),
        ("latency=constant", "too many or too few|''"),
        ("latency=uniform:1ms", "too many or too few"),
        ("latency=lognormal:1ms,9", "not between 0 and 3"),
        ("latency=steps:1ms*0", "above 0"),
        ("answers=503*101", "more than 100"),
        ("answers=tea*1", "neither a status nor one of"),
        ("answers=100*1", "neither a status nor one of"),
        ("size=9999999", "not between 0"),
        ("draw=fair", "neither even nor random"),
        ("seed=x", "invalid literal"),
        ("seed=1&seed=2", "said twice"),
        ("delay=1s", "'delay' is none of latency"),
    ],
)
def test_a_mistake_is_named(query: str, reason: str) -> None:
    with pytest.raises(ProgrammeMistake, match=reason):
        parse(query)

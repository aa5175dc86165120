import random

import pytest
from hdrh.histogram import HdrHistogram

from loadtests.histogram import BAR_RATIO, Histogram


def holding(*values: float) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def ranked(values: list[float], percentile: float) -> float:
    return sorted(values)[max(0, -(-len(values) * int(percentile * 10) // 1000) - 1)]


@pytest.mark.parametrize("percentile", [50, 95, 99, 99.9])
def test_percentiles_are_those_of_the_values_to_three_figures(percentile: float) -> None:
    chance = random.Random(3)
    values = [chance.lognormvariate(-4, 1.5) for _ in range(20_000)]
    assert holding(*values).percentile_ms(percentile) == pytest.approx(ranked(values, percentile) * 1e3, rel=1e-3)


def test_durations_beyond_the_range_are_kept_at_its_ends() -> None:
    summary = holding(0.0, 1e9).summary()
    assert (summary["count"], summary["min"]) == (2, 0.001)
    assert summary["max"] == pytest.approx(3_600_000, rel=1e-3)


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().summary()["p99"] is None
    assert (Histogram().percentile_ms(50), Histogram().bars()) == (None, [])


def test_other_tools_read_the_same_from_its_encoding() -> None:
    chance = random.Random(5)
    histogram = holding(*(chance.lognormvariate(-3, 1) for _ in range(1_000)))
    theirs = HdrHistogram.decode(histogram.encoded())
    assert theirs.get_total_count() == 1_000
    for percentile in (50, 95, 99):
        told = theirs.get_value_at_percentile(percentile) / 1e3
        assert histogram.percentile_ms(percentile) == pytest.approx(told, rel=1e-3)


def test_adding_is_what_recording_both_would_have_been() -> None:
    fast, slow = holding(*[0.010] * 99), holding(1.0)
    fast.add(slow)
    assert fast.counts == holding(*[0.010] * 99, 1.0).counts
    assert fast.percentile_ms(99) == pytest.approx(10, rel=1e-3)  # the mean of both p99 would be 505
    assert fast.percentile_ms(100) == pytest.approx(1000, rel=1e-3)
    assert Histogram.from_json(fast.as_json()).counts == fast.counts


def test_bars_hold_every_value_once_below_their_edge() -> None:
    bars = holding(0.001, 0.0011, 0.5).bars()
    assert sum(count for _, count in bars) == 3
    edge, count = bars[-1]
    assert count == 1
    assert edge / BAR_RATIO < 500.5 <= edge * 1.001


def test_what_share_took_longer() -> None:
    assert holding(0.1, 0.2, 0.3, 0.4).share_above(0.25) == 0.5
    assert Histogram().share_above(1.0) == 0.0

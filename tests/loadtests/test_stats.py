import random

import pytest

from loadtests.first_stats import BAR_RATIO, Histogram, Outcome, Recorder, merged


def ranked(values: list[float], percentile: float) -> float:
    return sorted(values)[max(0, -(-len(values) * int(percentile * 10) // 1000) - 1)]


@pytest.mark.parametrize("percentile", [50, 95, 99, 99.9])
def test_percentiles_are_those_of_the_values_to_three_figures(percentile: float) -> None:
    chance = random.Random(3)
    values = [chance.lognormvariate(-4, 1.5) for _ in range(20_000)]
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    assert histogram.percentile_ms(percentile) == pytest.approx(ranked(values, percentile) * 1e3, rel=2e-3)


def test_durations_beyond_the_range_are_kept_at_its_ends() -> None:
    histogram = Histogram()
    histogram.record(0.0)
    histogram.record(1e9)
    assert histogram.count == 2
    assert histogram.summary()["min"] == 0.001
    assert histogram.summary()["max"] == pytest.approx(3_600_000, rel=1e-3)


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().summary()["p99"] is None
    assert Histogram().bars() == []


def test_encoding_keeps_every_value() -> None:
    histogram = Histogram()
    for value in (0.001, 0.002, 5.0):
        histogram.record(value)
    assert Histogram(histogram.encoded()).summary() == histogram.summary()


def test_merging_adds_histograms_and_does_not_average_percentiles() -> None:
    recorder = Recorder()
    for _ in range(99):
        recorder.answer(step="fast", seconds=0.010, outcome=Outcome.SUCCESS)
    recorder.answer(step="slow", seconds=1.0, outcome=Outcome.SUCCESS)
    whole = merged(recorder.steps.values())
    assert whole.latency.percentile_ms(99) == pytest.approx(10, rel=2e-3)  # the mean of both p99 would be 505
    assert whole.latency.percentile_ms(100) == pytest.approx(1000, rel=2e-3)


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.TIMEOUT, Outcome.UNTRUE])
def test_what_went_wrong_is_counted_and_never_in_the_latency(outcome: Outcome) -> None:
    recorder = Recorder()
    recorder.answer(step="post", seconds=0.100, outcome=Outcome.SUCCESS)
    before = recorder.total().latency.summary()
    for _ in range(1000):
        recorder.answer(step="post", seconds=0.000_1, outcome=outcome, error="fast and wrong")
    total = recorder.total()
    assert total.latency.summary() == before
    assert total.outcomes[outcome] == 1000
    assert total.not_latency.count == 1000
    second = recorder.tick(in_flight=0, present=0, cpu=0.1)
    assert (second.requests, second.failures, second.p50) == (1001, 1000, 100.0)


def test_a_second_holds_what_happened_in_it() -> None:
    recorder = Recorder()
    recorder.arrival(late_seconds=0.25)
    for milliseconds in range(1, 101):
        recorder.answer(step="post", seconds=milliseconds / 1e3, outcome=Outcome.SUCCESS)
    first = recorder.tick(in_flight=3, present=4, cpu=0.5)
    empty = recorder.tick(in_flight=0, present=0, cpu=0.0)
    assert (first.at, first.requests, first.arrivals, first.in_flight, first.present) == (0, 100, 1, 3, 4)
    assert (first.p50, first.p95, first.p99) == (50.0, 95.0, 99.0)
    assert (empty.at, empty.requests, empty.p50) == (1, 0, None)
    assert recorder.late_starts.percentile_ms(99) == pytest.approx(250, rel=2e-3)


def test_kinds_of_errors_are_bounded_and_their_counts_are_not() -> None:
    recorder = Recorder()
    for number in range(500):
        recorder.answer(step="post", seconds=0.1, outcome=Outcome.FAILURE, error=f"error {number}")
    errors = recorder.as_json()["errors"]
    assert len(errors) <= 52
    assert sum(error["count"] for error in errors) == 500


def test_bars_hold_every_value_once_below_their_edge() -> None:
    histogram = Histogram()
    for value in (0.001, 0.0011, 0.5):
        histogram.record(value)
    bars = histogram.bars()
    assert sum(count for _, count in bars) == 3
    edge, count = bars[-1]
    assert count == 1
    assert edge / BAR_RATIO < 500.5 <= edge * 1.001

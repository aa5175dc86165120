"""Until the first runner is gone; then this goes as well. What was measured: HDR histograms for each step...

Latency figures hold answers that were right. An error, a time-out and an untrue answer are counted apart and timed
apart: a target that fails fast must not look fast. Percentiles are read from histograms; where several are to be one,
the histograms are added, never the percentiles averaged.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hdrh.histogram import HdrHistogram

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
BAR_RATIO = 1.15
_HIGHEST_MICROSECONDS = 3_600_000_000
_EXAMPLES = 50  # different error sentences kept; the counts are complete


class Outcome(Enum):
    SUCCESS = "success"
    FAILURE = "failure"  # a wrong status, a broken connection
    TIMEOUT = "timeout"
    UNTRUE = "untrue"  # answered in time and in form, and it was not true


class Histogram:
    """Durations in seconds, kept to three significant figures from 1 us to an hour."""

    def __init__(self, encoded: str | None = None) -> None:
        self._hdr = HdrHistogram.decode(encoded) if encoded else HdrHistogram(1, _HIGHEST_MICROSECONDS, 3)

    def record(self, seconds: float) -> None:
        self._hdr.record_value(min(_HIGHEST_MICROSECONDS, max(1, round(seconds * 1e6))))

    def add(self, other: "Histogram") -> None:
        self._hdr.add(other._hdr)

    @property
    def count(self) -> int:
        return int(self._hdr.get_total_count())

    def percentile_ms(self, percentile: float) -> float | None:
        return self._hdr.get_value_at_percentile(percentile) / 1e3 if self.count else None

    def summary(self) -> dict[str, float | int | None]:
        """Milliseconds; None where nothing was recorded."""
        if not self.count:
            return {"count": 0, "min": None, "mean": None, "max": None, **{_name(p): None for p in PERCENTILES}}
        values = self._hdr.get_percentile_to_value_dict(list(PERCENTILES))
        return {
            "count": self.count,
            "min": self._hdr.get_min_value() / 1e3,
            "mean": self._hdr.get_mean_value() / 1e3,
            "max": self._hdr.get_max_value() / 1e3,
            **{_name(p): values[p] / 1e3 for p in PERCENTILES},
        }

    def bars(self) -> list[tuple[float, int]]:
        """(upper edge in ms, count) of every value range that holds something, in ranges that grow by BAR_RATIO."""
        bars: dict[int, int] = {}
        for item in self._hdr.get_recorded_iterator():
            edge = _bar_of(item.value_iterated_to)
            bars[edge] = bars.get(edge, 0) + item.count_added_in_this_iter_step
        return [(BAR_RATIO**edge / 1e3, count) for edge, count in sorted(bars.items())]

    def encoded(self) -> str:
        """HdrHistogram V2, base64: what every other HDR tool reads."""
        return str(self._hdr.encode().decode())


def _bar_of(microseconds: int) -> int:
    return math.ceil(math.log(max(1, microseconds)) / math.log(BAR_RATIO) - 1e-9)


def _name(percentile: float) -> str:
    return f"p{percentile:g}"


@dataclass(slots=True)
class Step:
    """One fixed name, such as `signup.post`."""

    latency: Histogram = field(default_factory=Histogram)
    not_latency: Histogram = field(default_factory=Histogram)
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    def as_json(self) -> dict[str, Any]:
        return {
            **{outcome.value: count for outcome, count in self.outcomes.items()},
            "latency_ms": self.latency.summary(),
            "latency_bars": self.latency.bars(),
            "latency_hdr": self.latency.encoded(),
            "not_latency_ms": self.not_latency.summary(),
            "not_latency_hdr": self.not_latency.encoded(),
        }


@dataclass(slots=True)
class Second:
    """What ended within one second of the run; `in_flight` and `present` are the state at its end."""

    at: int
    requests: int = 0
    failures: int = 0
    arrivals: int = 0
    in_flight: int = 0
    present: int = 0
    cpu: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Recorder:
    """Takes every answer and every arrival of a run. `tick` closes the current second."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self.steps: dict[str, Step] = {}
        self.seconds: list[Second] = []
        self.errors: dict[tuple[str, str, str], int] = {}
        self.late_starts = Histogram()
        self._now = Second(at=0)
        self._durations: list[float] = []

    def elapsed(self) -> float:
        return self._clock() - self._start

    def answer(self, *, step: str, seconds: float, outcome: Outcome, error: str = "") -> None:
        kept = self.steps.setdefault(step, Step())
        kept.outcomes[outcome] += 1
        self._now.requests += 1
        if outcome is Outcome.SUCCESS:
            kept.latency.record(seconds)
            self._durations.append(seconds)
            return
        kept.not_latency.record(seconds)
        self._now.failures += 1
        key = (step, outcome.value, error[:300])
        if key not in self.errors and len(self.errors) >= _EXAMPLES:
            key = (step, outcome.value, "(further kinds of error)")
        self.errors[key] = self.errors.get(key, 0) + 1

    def arrival(self, *, late_seconds: float) -> None:
        """A visitor starts, this long after the planned moment."""
        self.late_starts.record(late_seconds)
        self._now.arrivals += 1

    def tick(self, *, in_flight: int, present: int, cpu: float) -> Second:
        """Close the second. `cpu` is the generator's, as a share of one core."""
        done, self._now = self._now, Second(at=self._now.at + 1)
        durations, self._durations = sorted(self._durations), []
        done.in_flight, done.present, done.cpu = in_flight, present, round(cpu, 3)
        # A second's values are all at hand, so its percentiles are exact (nearest rank).
        done.p50, done.p95, done.p99 = (_exact_ms(durations, p) for p in (50, 95, 99))
        self.seconds.append(done)
        return done

    def total(self) -> Step:
        return merged(self.steps.values())

    def as_json(self) -> dict[str, Any]:
        columns = Second.__slots__
        return {
            "total": self.total().as_json(),
            "steps": {name: step.as_json() for name, step in self.steps.items()},
            "series": {name: [getattr(second, name) for second in self.seconds] for name in columns},
            "late_starts_ms": self.late_starts.summary(),
            "late_starts_hdr": self.late_starts.encoded(),
            "errors": [
                {"step": step, "kind": kind, "error": error, "count": count}
                for (step, kind, error), count in sorted(self.errors.items(), key=lambda item: -item[1])
            ],
        }


def merged(steps: Iterable[Step]) -> Step:
    whole = Step()
    for step in steps:
        whole.latency.add(step.latency)
        whole.not_latency.add(step.not_latency)
        for outcome, count in step.outcomes.items():
            whole.outcomes[outcome] += count
    return whole


def _exact_ms(ordered: list[float], percentile: float) -> float | None:
    if not ordered:
        return None
    rank = -(-len(ordered) * percentile // 100)  # rounded up
    return round(ordered[max(0, int(rank) - 1)] * 1e3, 3)

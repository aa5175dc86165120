"""Durations, counted: what an HDR histogram of three significant figures keeps, as a sparse table.

A value in microseconds keeps its 11 highest bits, so that it is told to 1 part in 1,024 or better, whatever its size;
a second with a hundred answers is a hundred small numbers, which travel between machines as they are. Histograms are
merged by adding. Nothing here ever averages percentiles.
"""

import math
from collections.abc import Iterable, Mapping

from hdrh.histogram import HdrHistogram

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
BAR_RATIO = 1.15
HIGHEST_MICROSECONDS = 3_600_000_000
_BITS = 11


class Histogram:
    """Durations in seconds, from 1 us to an hour. `counts`: lowest value of a range in microseconds -> how many."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def record(self, seconds: float) -> None:
        value = int(seconds * 1e6)
        value = 1 if value < 1 else min(value, HIGHEST_MICROSECONDS)
        shift = value.bit_length() - _BITS
        key = value >> shift << shift if shift > 0 else value
        self.counts[key] = self.counts.get(key, 0) + 1

    def add(self, other: "Histogram") -> None:
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def sum_seconds(self) -> float:
        """By the middle of each range."""
        return sum((key + _highest(key)) / 2 * count for key, count in self.counts.items()) / 1e6

    def percentile_ms(self, percentile: float) -> float | None:
        """The nearest rank; of a range its highest value, as HDR histograms say it."""
        return next(iter(self.percentiles_ms((percentile,))), None)

    def percentiles_ms(self, percentiles: Iterable[float]) -> list[float]:
        """For percentiles in rising order, in one pass; empty where nothing was recorded."""
        total, found, passed = self.count, [], 0
        ordered = iter(sorted(self.counts.items()))
        key = 0
        for percentile in percentiles if total else ():
            rank = max(1, math.ceil(total * percentile / 100 - 1e-9))
            while passed < rank:
                key, count = next(ordered)
                passed += count
            found.append(_highest(key) / 1e3)
        return found

    def share_above(self, seconds: float) -> float:
        """The share of all values that took longer than this; 0 where nothing was recorded."""
        edge = seconds * 1e6
        return sum(count for key, count in self.counts.items() if key > edge) / max(1, self.count)

    def summary(self) -> dict[str, float | int | None]:
        """Milliseconds; None where nothing was recorded."""
        names = [f"p{percentile:g}" for percentile in PERCENTILES]
        if not self.counts:
            return {"count": 0, "min": None, "mean": None, "max": None, **dict.fromkeys(names)}
        return {
            "count": self.count,
            "min": min(self.counts) / 1e3,
            "mean": self.sum_seconds / self.count * 1e3,
            "max": _highest(max(self.counts)) / 1e3,
            **dict(zip(names, self.percentiles_ms(PERCENTILES), strict=True)),
        }

    def bars(self) -> list[tuple[float, int]]:
        """(upper edge in ms, count) of every range that holds something, in ranges that grow by BAR_RATIO."""
        bars: dict[int, int] = {}
        for key, count in self.counts.items():
            edge = math.ceil(math.log(max(1, key)) / math.log(BAR_RATIO) - 1e-9)
            bars[edge] = bars.get(edge, 0) + count
        return [(BAR_RATIO**edge / 1e3, count) for edge, count in sorted(bars.items())]

    def encoded(self) -> str:
        """HdrHistogram V2, base64: what every other HDR tool reads."""
        whole = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        for key, count in self.counts.items():
            whole.record_value(key, count)
        return str(whole.encode().decode())

    def as_json(self) -> dict[str, int]:
        return {str(key): count for key, count in self.counts.items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, int]) -> "Histogram":
        return cls({int(key): int(count) for key, count in raw.items()})


def _highest(key: int) -> int:
    """The highest value of the range that begins here."""
    shift = key.bit_length() - _BITS
    return key + (1 << shift) - 1 if shift > 0 else key

"""What was measured, from the frames of all generator processes: totals, the plateau, one second after the other.

Latency figures hold answers that were right. An error, a time-out and an untrue answer are counted apart and timed
apart: a target that fails fast must not look fast. Percentiles are read from histograms; where several are to be one,
the histograms are added, never the percentiles averaged.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.plans import Plan
from loadtests.steps import Ending, Outcome

BUSIEST_SECONDS = 5
# A second is summed up when one that is this much younger comes; what a stalled generator says of it later still
# counts in its columns and in all totals, only not in its percentiles.
_KEPT_OPEN_SECONDS = 60


def measured(
    frames: Iterable[Frame], *, plan: Plan, started_at: float, seconds: float, ended_by: str
) -> dict[str, Any]:
    """The `results` of a record (docs/laboratory.md). `started_at`: of time.time(); `seconds`: how long the run took.
    Frames may come in any order; they are gone through once."""
    plateau = next((phase for phase in plan.phases() if phase.name == "plateau"), None)
    whole, steady, series, generators = _Steps(), _Steps(), _Series(), _Generators()
    arrived = sent = received = unfit = unsent = bytes_in = 0
    endings: Counter[str] = Counter()
    late = Histogram()
    for frame in frames:
        whole.add(frame)
        if plateau is not None and plateau.start <= frame.at and frame.at + 1 <= plateau.end:
            steady.add(frame)
        series.add(frame)
        generators.add(frame)
        arrived += frame.arrivals.total()
        sent += frame.sent
        received += frame.received
        unfit += frame.unfit
        unsent += frame.unsent
        bytes_in += frame.bytes_in
        late.add(frame.late)
        for (_, ending), count in frame.endings.items():
            endings[ending] += count
    return {
        "started_at": started_at,
        "seconds": seconds,
        "ended_by": ended_by,
        "visitors": visitors(planned=plan.users, arrived=arrived, endings=endings),
        "sent": sent,
        "received": received,
        "unfit": unfit,
        "unsent": unsent,
        "bytes_in": bytes_in,
        **whole.as_json(),
        "plateau": steady.as_json() if steady.tallies else None,
        "phases": [{"name": phase.name, "start": phase.start, "end": phase.end} for phase in plan.phases()],
        "series": series.columns(),
        "by_step": series.columns_by_step(),
        "late_starts_ms": late.summary(),
        "late_starts_hdr": late.encoded(),
        "errors": whole.errors_as_json(),
        "generator": generators.as_json(),
    }


def visitors(*, planned: int, arrived: int, endings: Counter[str]) -> dict[str, int]:
    """Who arrived and is said to have ended nowhere was with a generator that died: lost. Who did not arrive: unmet,
    whether somebody was left to say so or not."""
    told = {ending.value: endings[ending.value] for ending in Ending}
    told[Ending.LOST.value] += max(0, arrived - sum(told.values()))
    return {"planned": planned, "arrived": arrived, **told, "unmet": max(0, planned - arrived)}


def tally_as_json(tally: Tally) -> dict[str, Any]:
    return {
        **{outcome.value: tally.outcomes[outcome] for outcome in Outcome},
        "latency_ms": tally.service.summary(),
        "intended_ms": tally.intended.summary(),
        "latency_bars": tally.service.bars(),
        "latency_hdr": tally.service.encoded(),
        "intended_hdr": tally.intended.encoded(),
        "not_latency_ms": tally.wrong.summary(),
        "not_latency_hdr": tally.wrong.encoded(),
    }


class _Steps:
    """Figures by step, added up."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self._errors: Counter[tuple[str, str, str]] = Counter()

    def add(self, frame: Frame) -> None:
        for name, tally in frame.tallies.items():
            self.tallies[name].add(tally)
        self._errors.update(frame.errors)

    def as_json(self) -> dict[str, Any]:
        total = Tally()
        for tally in self.tallies.values():
            total.add(tally)
        steps = {name: tally_as_json(tally) for name, tally in sorted(self.tallies.items())}
        return {"total": tally_as_json(total), "steps": steps}

    def errors_as_json(self) -> list[dict[str, Any]]:
        return [
            {"step": step, "kind": kind, "error": error, "count": count}
            for (step, kind, error), count in self._errors.most_common()
        ]


@dataclass(slots=True)
class _Second:
    """All generators' second. `tallies` is given up when it is summed up in `rows`."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    intended_p99: float | None = None
    counts: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    lag_p99: float | None = None
    summed_up: bool = False

    def add(self, frame: Frame) -> None:
        for name, tally in frame.tallies.items():
            if self.summed_up:
                self._count(name, tally)
            else:
                self.tallies[name].add(tally)
        for column in ("present", "in_flight", "connections"):
            self.counts[column] += getattr(frame, column)
        self.counts["arrivals"] += frame.arrivals.total()
        self.cpu = max(self.cpu, frame.cpu)
        lag = frame.lag.percentile_ms(99)
        if lag is not None:
            self.lag_p99 = max(self.lag_p99 or 0.0, lag)  # of the generator that was latest, not of all of them

    def sum_up(self) -> None:
        self.summed_up = True
        total = Tally()
        for name, tally in self.tallies.items():
            total.add(tally)
            self.rows[name] = self._row(tally)
        if self.tallies:
            self.rows[""] = self._row(total)
            self.intended_p99 = total.intended.percentile_ms(99)
        self.tallies.clear()

    @staticmethod
    def _row(tally: Tally) -> dict[str, Any]:
        found: list[float | None] = [*tally.service.percentiles_ms((50, 95, 99))] or [None] * 3
        requests = tally.outcomes.total()
        wrong = requests - tally.outcomes[Outcome.SUCCESS]
        return {"requests": requests, "wrong": wrong, **dict(zip(("p50", "p95", "p99"), found, strict=True))}

    def _count(self, name: str, tally: Tally) -> None:
        for counted in (self.rows.setdefault(name, self._row(Tally())), self.rows.setdefault("", self._row(Tally()))):
            counted["requests"] += tally.outcomes.total()
            counted["wrong"] += tally.outcomes.total() - tally.outcomes[Outcome.SUCCESS]


class _Series:
    """One second after the other."""

    def __init__(self) -> None:
        self._seconds: dict[int, _Second] = {}
        self._open: set[int] = set()
        self._youngest = 0

    def add(self, frame: Frame) -> None:
        if frame.at not in self._seconds:
            self._seconds[frame.at] = _Second()
            self._open.add(frame.at)
        self._seconds[frame.at].add(frame)
        if frame.at > self._youngest:
            self._youngest = frame.at
            self._sum_up(older_than=frame.at - _KEPT_OPEN_SECONDS)

    def _sum_up(self, *, older_than: float) -> None:
        for second in [second for second in self._open if second < older_than]:
            self._seconds[second].sum_up()
            self._open.discard(second)

    def columns(self) -> dict[str, list[Any]]:
        """A second of which nobody said anything has no figures."""
        seconds = self._all()
        rows = [second.rows.get("", {}) for second in seconds]
        return {
            "at": list(range(len(seconds))),
            "requests": [row.get("requests", 0) for row in rows],
            "failures": [row.get("wrong", 0) for row in rows],
            **{name: [second.counts[name] for second in seconds] for name in _COUNTS},
            "cpu": [round(second.cpu, 3) for second in seconds],
            **{name: [row.get(name) for row in rows] for name in ("p50", "p95", "p99")},
            "intended_p99": [second.intended_p99 for second in seconds],
            "lag_p99": [second.lag_p99 for second in seconds],
        }

    def columns_by_step(self) -> dict[str, dict[str, list[Any]]]:
        seconds = self._all()
        names = sorted({name for second in seconds for name in second.rows} - {""})
        return {name: {column: self._column(seconds, name, column) for column in _BY_STEP} for name in names}

    @staticmethod
    def _column(seconds: list[_Second], name: str, column: str) -> list[Any]:
        nothing = 0 if column in ("requests", "wrong") else None
        return [second.rows.get(name, {}).get(column, nothing) for second in seconds]

    def _all(self) -> list[_Second]:
        self._sum_up(older_than=math.inf)
        return [self._seconds.get(at, _Second()) for at in range(self._youngest + 1)] if self._seconds else []


_COUNTS = ("arrivals", "present", "in_flight", "connections")
_BY_STEP = ("requests", "wrong", "p50", "p95", "p99")


class _Generators:
    """What the generators cost, and what they have to say."""

    def __init__(self) -> None:
        self._cpu: dict[int, list[float]] = defaultdict(list)
        self._driving: dict[int, set[int]] = defaultdict(set)  # by second
        self._rss: dict[int, int] = defaultdict(int)
        self._lag = Histogram()
        self._connects = 0
        self._notes: Counter[str] = Counter()

    def add(self, frame: Frame) -> None:
        if frame.worker:  # 0: the account of those who came to nobody (`running/shares.py`)
            self._cpu[frame.worker].append(frame.cpu)
            self._rss[frame.worker] = max(self._rss[frame.worker], frame.rss_bytes)
        if frame.rss_bytes:  # none: said of a dead worker by others
            self._driving[frame.at].add(frame.worker)
        self._lag.add(frame.lag)
        self._connects += frame.connects
        self._notes.update(frame.notes)

    def as_json(self) -> dict[str, Any]:
        """`workers`: processes that drove, `at_once`: as many of them in one second. `cpu_busiest`: of one process, as
        a share of one core, in its busiest seconds."""
        return {
            "workers": len(self._cpu),
            "at_once": max(map(len, self._driving.values()), default=len(self._cpu)),
            "cpu_busiest": round(max(map(busiest, self._cpu.values()), default=0.0), 3),
            "rss_bytes": sum(self._rss.values()),
            "lag_ms": self._lag.summary(),
            "connects": self._connects,
            "notes": dict(self._notes),
        }


def busiest(shares: list[float], *, seconds: int = BUSIEST_SECONDS) -> float:
    """The highest mean of so many seconds in a row; of all there are, where there are fewer."""
    if not shares:
        return 0.0
    width = min(seconds, len(shares))
    return max(sum(shares[at : at + width]) / width for at in range(len(shares) - width + 1))

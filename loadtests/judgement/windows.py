"""Limits over the seconds of a run: while it goes on, to stop it, and when it is over, to judge it. No clock, no files,
no Django: `Watching` is handed each second once, in order.

Upper bounds of times, levels and loads are judged from the end of the warm-up on; lower bounds (`rate > 40/s`) on the
plateau alone, since no ramp keeps one; wrong answers from the first second to the last. Only whole windows are judged,
and the run as one where it is shorter than the window.

How many arrive and are answered a second is bounded from below only while people are to arrive. Where the plan has no
whole window of that, such a limit is *moot*: the plan says so, whatever the target does, and the finding says it.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.judgement.phases import Phase
from loadtests.judgement.seconds import Second, seconds
from loadtests.limits import DURATIONS, FLOWS, LEVELS, PROBED, VISITORS, WRONG, Limit, parse
from loadtests.steps import Outcome

_WRONG = {
    "failed": (Outcome.FAILURE, Outcome.TIMEOUT),
    "timeouts": (Outcome.TIMEOUT,),
    "untrue": (Outcome.UNTRUE,),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`holds` is None where nothing could be judged. `worst`: the value that was nearest to breaking the limit, or
    furthest beyond; `at`: the last second of its window. `moot`: why it cannot say anything of this run, which is no
    fault of anybody; `holds` is None then."""

    limit: Limit
    holds: bool | None
    worst: float | None
    at: int | None
    moot: str = ""  # why it says nothing of this plan's run

    @property
    def detail(self) -> str:
        if self.moot:
            return f"not judged: {self.moot}"
        if self.worst is None:
            return "nothing was measured that it could be judged by"
        if self.limit.window is None or self.at is None:
            return f"{self.limit.said(self.worst)} in all"
        first = max(0, self.at + 1 - self.limit.window)
        return f"{self.limit.said(self.worst)} at worst, in the seconds {first} to {self.at}"


class Watching:
    """All limits of a plan, second by second."""

    def __init__(self, lines: Iterable[str], phases: Iterable[Phase]) -> None:
        bounds = list(phases)
        self._watches = [_Watch(parse(line), bounds) for line in lines]

    def take(self, second: Second) -> list[Finding]:
        """What is broken as of this second and is to stop the run."""
        for watch in self._watches:
            watch.take(second)
        stopping = (watch.finding() for watch in self._watches if watch.limit.stop and watch.broken_now())
        return [found for found in stopping if found.holds is False]

    def findings(self) -> list[Finding]:
        """What holds of the run as a whole."""
        return [watch.finding() for watch in self._watches]


def judged(
    lines: Iterable[str],
    *,
    frames: Iterable[Frame],
    phases: Iterable[Phase],
    probes: Mapping[str, Any] | None = None,
    staleness: Histogram | None = None,
) -> list[Finding]:
    """A whole run's limits. `probes`: as the record keeps them."""
    watching = Watching(lines, phases)
    for second in seconds(frames, probes):
        watching.take(second)
    return [
        _of_histogram(found.limit, staleness) if found.limit.metric == "staleness" else found
        for found in watching.findings()
    ]


def _of_histogram(limit: Limit, durations: Histogram | None) -> Finding:
    if durations is not None and not durations.counts:
        return Finding(limit, None, None, None, "nobody saw a product that had changed")
    value = _statistic(limit, durations or Histogram())
    return Finding(limit, None if value is None else limit.kept(value), value, None)


@dataclass(slots=True)
class _Amount:
    """What one second adds to a window: durations, or a sum above a sum."""

    durations: dict[int, int] = field(default_factory=dict)
    above: float = 0.0
    below: float = 0.0

    def change(self, other: "_Amount", sign: int) -> None:
        self.above += sign * other.above
        self.below += sign * other.below
        for key, count in other.durations.items():
            left = self.durations.get(key, 0) + sign * count
            if left:
                self.durations[key] = left
            else:
                self.durations.pop(key, None)


class _Watch:
    def __init__(self, limit: Limit, phases: Sequence[Phase]) -> None:
        self.limit = limit
        self._from, self._to = _bounds(limit, phases)
        self._moot = _moot(limit, phases, self._from, self._to)
        self._window: deque[_Amount] = deque()
        self._sum = _Amount()
        self._worst: float | None = None
        self._worst_at: int | None = None
        self._at = -1
        self._now: float | None = None

    def take(self, second: Second) -> None:
        self._at, self._now = second.at, None
        if self._moot or not self._from <= second.at or second.at + 1 > self._to:
            return
        amount = _amount(self.limit, second)
        self._sum.change(amount, +1)
        if self.limit.window is not None:
            self._window.append(amount)
            if len(self._window) > self.limit.window:
                self._sum.change(self._window.popleft(), -1)
            if len(self._window) < self.limit.window:
                return
            self._note(_value(self.limit, self._sum), second.at)
        elif self.limit.stop:
            self._now = _value(self.limit, self._sum)

    def broken_now(self) -> bool:
        return self._now is not None and not self.limit.kept(self._now)

    def finding(self) -> Finding:
        if self._moot:
            return Finding(self.limit, None, None, None, self._moot)
        worst, at = self._worst, self._worst_at
        short = self.limit.window is not None and worst is None and len(self._window) < self.limit.window
        if self.limit.window is None or short:
            worst, at = _value(self.limit, self._sum), self._at
        return Finding(self.limit, None if worst is None else self.limit.kept(worst), worst, at)

    def _note(self, value: float | None, at: int) -> None:
        self._now = value
        if value is None:
            return
        if self._worst is None or self.limit.worse(value, self._worst) != self._worst:
            self._worst, self._worst_at = value, at


def _bounds(limit: Limit, phases: Sequence[Phase]) -> tuple[float, float]:
    if limit.metric in (*WRONG, *VISITORS):
        return 0.0, float("inf")
    if limit.at_least:
        plateau = next((phase for phase in phases if phase.name == "plateau"), None)
        if plateau is None:
            return 0.0, 0.0
        return plateau.start, min(plateau.end, plateau.arrivals_end) if limit.metric in FLOWS else plateau.end
    return max((phase.end for phase in phases if phase.name == "warm-up"), default=0.0), float("inf")


def _moot(limit: Limit, phases: Sequence[Phase], start: float, end: float) -> str:
    if not phases or not limit.at_least or limit.metric not in FLOWS:
        return ""
    whole, needed = math.floor(end) - math.ceil(start), limit.window or 1
    if whole >= needed:
        return ""
    return f"this plan has no {needed} s in which people arrive and as many are present as it plans"


def _amount(limit: Limit, second: Second) -> _Amount:
    metric = limit.metric
    if metric == "late":
        return _Amount(_merged(frame.late for frame in second.frames))
    if metric == "arrivals":
        return _Amount(above=sum(frame.arrivals.total() for frame in second.frames), below=1)
    if metric in VISITORS:
        return _visitors(metric, second)
    if metric in LEVELS:
        frames = second.frames
        return _Amount(above=sum(getattr(frame, metric) for frame in frames), below=bool(frames))
    if metric == "cpu" and limit.what == "generator":
        return _Amount(above=max((frame.cpu for frame in second.frames), default=0.0), below=bool(second.frames))
    if metric in PROBED:
        value = second.probed.get((metric, limit.what))
        return _Amount() if value is None else _Amount(above=value, below=1)
    covered = [tally for name, tally in second.tallies.items() if limit.covers(name)]
    return _answers(limit, covered, nothing_else=bool(limit.but and not limit.share and second.tallies))


def _answers(limit: Limit, tallies: Sequence[Tally], *, nothing_else: bool) -> _Amount:
    """`nothing_else`: there were answers, and all of them of steps that the limit leaves out. None of the others was
    wrong then, as surely as if there had been some."""
    if limit.metric == "latency":
        return _Amount(_merged(tally.intended if limit.intended else tally.service for tally in tallies))
    if limit.metric == "rate":
        return _Amount(above=sum(tally.outcomes[Outcome.SUCCESS] for tally in tallies), below=1)
    if limit.metric in WRONG:
        kinds = _WRONG[limit.metric]
        wrong = sum(tally.outcomes[kind] for tally in tallies for kind in kinds)
        return _Amount(above=wrong, below=sum(tally.outcomes.total() for tally in tallies) or nothing_else)
    return _Amount()


def _visitors(metric: str, second: Second) -> _Amount:
    """Of those who came; of unmet ones, of those who were to come."""
    came = sum(frame.arrivals.total() for frame in second.frames)
    missed = sum(frame.unmet.total() for frame in second.frames)
    ended = sum(count for frame in second.frames for (_, ending), count in frame.endings.items() if ending == metric)
    return _Amount(above=missed, below=came + missed) if metric == "unmet" else _Amount(above=ended, below=came)


def _value(limit: Limit, amount: _Amount) -> float | None:
    """None where there is nothing to say anything of."""
    if limit.metric == "latency" or limit.metric in DURATIONS:
        return _statistic(limit, Histogram(amount.durations))
    if limit.metric in (*WRONG, *VISITORS) and not limit.share:
        return amount.above if amount.above or amount.below else None
    return amount.above / amount.below if amount.below else None


def _statistic(limit: Limit, durations: Histogram) -> float | None:
    if not durations.counts:
        return None
    if limit.statistic == "mean":
        return durations.sum_seconds / durations.count
    milliseconds = durations.percentile_ms(100.0 if limit.statistic == "max" else float(limit.statistic[1:]))
    return None if milliseconds is None else milliseconds / 1e3


def _merged(histograms: Iterable[Histogram]) -> dict[int, int]:
    whole = Histogram()
    for histogram in histograms:
        whole.add(histogram)
    return whole.counts

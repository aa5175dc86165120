"""What one sees while a run is going, from the frames of all workers."""

from collections import defaultdict
from typing import Any

from loadtests.frames import Frame, Tally
from loadtests.judgement.seconds import Second
from loadtests.steps import Ending, Outcome

KEPT_SECONDS = 10
PATIENCE_SECONDS = 3


class Totals:
    """Adds frames up; the last second of which all workers spoke is the one that is shown."""

    def __init__(self, *, planned: int, slots: int) -> None:
        self._planned, self._slots = planned, slots
        self._seconds: dict[int, list[Frame]] = defaultdict(list)
        self._arrived = self._requests = self._right = self._finished = 0
        self.draining = False

    def add(self, frame: Frame) -> None:
        self._arrived += frame.arrivals.total()
        self._finished += sum(count for (_, how), count in frame.endings.items() if how == Ending.FINISHED.value)
        for tally in frame.tallies.values():
            self._requests += tally.outcomes.total()
            self._right += tally.outcomes[Outcome.SUCCESS]
        self._seconds[frame.at].append(frame)
        for second in [second for second in self._seconds if second < frame.at - KEPT_SECONDS]:
            del self._seconds[second]

    def progress(self, elapsed: float) -> dict[str, Any]:
        frames = self._shown()
        second = Tally()
        for frame in frames:
            for tally in frame.tallies.values():
                second.add(tally)
        return {
            "elapsed": elapsed,
            "arrived": self._arrived,
            "planned": self._planned,
            "present": sum(frame.present for frame in frames),
            "in_flight": sum(frame.in_flight for frame in frames),
            "finished": self._finished,
            "requests": self._requests,
            "failed": self._requests - self._right,
            "rate": second.outcomes.total(),
            "p50": second.service.percentile_ms(50),
            "p99": second.service.percentile_ms(99),
            "cpu": max((frame.cpu for frame in frames), default=0.0),
            "draining": self.draining,
        }

    def _shown(self) -> list[Frame]:
        whole = [at for at, frames in self._seconds.items() if len({frame.worker for frame in frames}) >= self._slots]
        at = max(whole or self._seconds, default=None)
        return [] if at is None else self._seconds[at]


class WholeSeconds:
    """Gives each second once, in order, when every worker that drives has spoken of it, or spoken of later ones for so
    long that nothing more is expected."""

    def __init__(self) -> None:
        self._frames: dict[int, list[Frame]] = defaultdict(list)
        self._next = 0

    def add(self, frame: Frame, *, working: int) -> list[Second]:
        if frame.at >= self._next:
            self._frames[frame.at].append(frame)
        latest = max(self._frames, default=-1)
        whole = []
        while self._next <= latest:
            frames = self._frames.get(self._next, [])
            if len({one.worker for one in frames}) < working and latest - self._next < PATIENCE_SECONDS:
                break
            whole.append(Second(self._next, self._frames.pop(self._next, [])))
            self._next += 1
        return whole

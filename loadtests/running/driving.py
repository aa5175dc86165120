"""One worker's share of a run: lets its visitors in at their moments, closes a frame each second, and ends.

Knows no process and no network to the conductor: `report` takes the frames, `may_begin` says whether somebody may be
let in. All of it runs in the engine's one loop.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from loadtests.frames import Frame, Recorder
from loadtests.plans import Arrival
from loadtests.sessions import Engine
from loadtests.steps import Ending

NO_WORD = "no word from the conductor"
MakeVisitor = Callable[[int], Any]


class Driving:
    """`arrivals`: in the order of their moments. `visitors`: by scenario, makes the visitor of an index."""

    def __init__(
        self,
        *,
        engine: Engine,
        recorder: Recorder,
        arrivals: Sequence[Arrival],
        visitors: Mapping[str, MakeVisitor],
        clock: Callable[[], float],
        report: Callable[[Frame], None],
        may_begin: Callable[[], bool],
    ) -> None:
        self._engine, self._recorder, self._clock = engine, recorder, clock
        self._arrivals, self._visitors = arrivals, visitors
        self._report, self._may_begin = report, may_begin
        self._next = 0
        self._second = 0
        self._usage = _Usage()

    def start(self) -> None:
        """Whoever takes over in the middle of a run speaks of no second before they were there."""
        self._second = max(0, int(self._clock()))
        self._engine.at(self._second + 1.0, self._close_seconds)
        self._expect_next()

    @property
    def over(self) -> bool:
        return self._next >= len(self._arrivals) and self._recorder.present == 0

    def stop_arrivals(self, why: str) -> None:
        """Nobody else is let in; those present go on to their end."""
        for arrival in self._arrivals[self._next :]:
            self._recorder.unmet(scenario=arrival.scenario, why=f"not let in: {why}")
        self._next = len(self._arrivals)

    def leave_now(self, why: str) -> None:
        self.stop_arrivals(why)
        self._engine.leave_all(Ending.CUT_OFF)

    def give_away(self) -> None:
        """This share is somebody else's: those present are lost with this worker, those to come are not ours to speak
        of any more."""
        self._next = len(self._arrivals)
        self._engine.leave_all(Ending.LOST)

    def finish(self) -> None:
        """The last frame, which is part of a second."""
        self._close_until(self._clock())
        self._close(self._second)

    def _expect_next(self) -> None:
        if self._next < len(self._arrivals):
            self._engine.at(self._arrivals[self._next].moment, self._let_in)

    def _let_in(self) -> None:
        """Whoever is due. One after the other: the engine gets a turn between two, so that a burst is worked off as a
        burst and answers are not kept waiting for those who still come."""
        if self._next >= len(self._arrivals):
            return
        arrival = self._arrivals[self._next]
        self._next += 1
        if self._may_begin():
            self._begin(arrival)
        else:
            self._recorder.unmet(scenario=arrival.scenario, why=NO_WORD)
        self._expect_next()

    def _begin(self, arrival: Arrival) -> None:
        visitor = self._visitors[arrival.scenario](arrival.index)
        self._engine.begin(
            visitor.journey(), scenario=arrival.scenario, intended=arrival.moment, done=lambda ending: None
        )

    def _close_seconds(self) -> None:
        now = self._clock()
        self._recorder.frame.lag.record(max(0.0, now - (self._second + 1)))
        self._close_until(now)
        self._engine.at(self._second + 1.0, self._close_seconds)

    def _close_until(self, now: float) -> None:
        while self._second + 1 <= now:
            self._close(self._second)

    def _close(self, second: int) -> None:
        cpu, rss_bytes = self._usage.since_last()
        frame = self._recorder.close_second(
            at=second, cpu=cpu, rss_bytes=rss_bytes, connections=self._engine.connections
        )
        self._second = second + 1
        self._report(frame)


class _Usage:
    """This process's share of one core since it was last asked, and its memory. Asked twice in one moment (a stalled
    second is closed after the fact), it says the same share again."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._at, self._used, self._share = time.monotonic(), time.process_time(), 0.0

    def since_last(self) -> tuple[float, int]:
        at, used = time.monotonic(), time.process_time()
        if at - self._at > 0.05:
            self._share = round((used - self._used) / (at - self._at), 4)
            self._at, self._used = at, used
        return self._share, int(self._process.memory_info().rss)

"""One generator process of a calibration: `python -m loadtests.calibrating.calibrator`, its order as JSON on standard
input, its frames as JSON lines on standard output.

It drives what a run's worker drives, by the same engine and the same loop (`loadtests/running/driving.py`); its
visitors ask for known answers, again and again.
"""

import gc
import json
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadtests.frames import Frame, Recorder
from loadtests.plans import Arrival
from loadtests.running.driving import Driving
from loadtests.sessions import Engine
from loadtests.steps import Journey, Step, Think
from loadtests.target import resolve

STEP = "known"
OVERTIME_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """`began`: the second 0, by the system's monotonic clock; all processes of a rung begin together. `pause`: the mean
    seconds between two requests of a visitor; they arrive over `ramp` seconds and leave when `until` is over."""

    host: str
    path: str
    sessions: int
    pause: float
    ramp: float
    until: float
    worker: int
    began: float
    sources: tuple[str, ...] = ()

    def arrivals(self) -> list[Arrival]:
        apart = self.ramp / max(1, self.sessions)
        return [Arrival(index, (index + 1) * apart, STEP) for index in range(self.sessions)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Asks, thinks for half to one and a half of the pause, and asks again."""

    order: Order
    index: int
    clock: Callable[[], float]

    def journey(self) -> Journey:
        chance = random.Random(f"calibration {self.order.worker} {self.index}")  # noqa: S311
        step = Step(STEP, "GET", self.order.path, needed=False)
        # At the same rate from the first moment on: whoever arrives is somewhere within a pause.
        yield Think(chance.random() * self.order.pause)
        while self.clock() < self.order.until:
            yield step
            left = max(0.0, self.order.until - self.clock())  # nobody is torn off: what the server said is heard
            yield Think(min(left, (0.5 + chance.random()) * self.order.pause))


def drive(order: Order) -> list[Frame]:
    def clock() -> float:
        return time.monotonic() - order.began

    frames: list[Frame] = []
    recorder = Recorder(worker=order.worker, clock=clock)
    engine = Engine(
        target=resolve(order.host),
        recorder=recorder,
        request_timeout=30.0,
        connections=1,
        time_scale=1.0,
        expected={"*": 0.1},
        sources=order.sources,
    )
    driving = Driving(
        engine=engine,
        recorder=recorder,
        arrivals=order.arrivals(),
        visitors={STEP: lambda index: Caller(order, index, clock)},
        clock=clock,
        report=frames.append,
        may_begin=lambda: True,
    )
    driving.start()
    while clock() < 0:
        time.sleep(-clock())
    while not driving.over:
        engine.turn(0.1)
        if clock() > order.until + OVERTIME_SECONDS:
            driving.leave_now("the rung is over")
    driving.finish()
    engine.close()
    return frames


def main() -> None:
    raw = json.load(sys.stdin)
    order = Order(**{**raw, "sources": tuple(raw["sources"])})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    # Said at the end: a pipe that is full would hold everybody up.
    sys.stdout.writelines(json.dumps(frame.as_json()) + "\n" for frame in drive(order))


if __name__ == "__main__":
    main()

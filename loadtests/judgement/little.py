"""Little's law, held against a run: what is there at a time is what comes a second, times how long it stays.

Over a whole run that is an identity, and each side of it was measured by itself: the integral of what was there, from
the changes of a counter; the durations, from the histograms. So it says nothing of the target and everything of the
measurement: durations that were cut short, answers that were not counted and clocks that went apart show here.
"""

import math
from collections.abc import Iterable
from typing import Any

from loadtests.frames import Frame
from loadtests.steps import Ending

APART = 0.05
# Between the asking and its count, and the other way about: what a turn of the loop takes beside the network.
COUNTING_SECONDS = 0.0001
FEWEST = 100
# A visitor's coming and going are known by the second: each off by at most half of one, with this standard deviation.
_VISIT_DEVIATION = math.sqrt(2 / 12)


def of(frames: Iterable[Frame], *, seconds: float) -> dict[str, Any]:
    """{"requests": {...}, "visitors": {...}}, each with `there` (the mean number, from the integral), `expected` (rate
    times mean stay), `rate` (per second), `stay` (seconds), `apart` (share, or None) and `holds` (None: too few to
    say, or some of them never ended)."""
    there = stayed = asked = present = came = ended = 0.0
    begins = ends = open_ended = lost = 0.0
    for frame in frames:
        there += frame.in_flight_seconds
        present += frame.present_seconds
        for tally in frame.tallies.values():
            stayed += tally.service.sum_seconds + tally.wrong.sum_seconds
            asked += tally.outcomes.total()
        arrivals, endings = frame.arrivals.total(), frame.endings.total()
        came, ended = came + arrivals, ended + endings
        begins += arrivals * (frame.at + 0.5)
        ends += endings * (frame.at + 0.5)
        lost += sum(count for (_, how), count in frame.endings.items() if how == Ending.LOST.value)
        open_ended += frame.notes["requests cut off by the end"]
    visits = ends - begins
    noise = 3 * _VISIT_DEVIATION / (math.sqrt(came) * visits / came) if visits > 0 else math.inf
    return {
        "requests": _held(
            there,
            stayed,
            int(asked),
            seconds=seconds,
            sure=asked >= FEWEST and not open_ended and not lost,
            spare=COUNTING_SECONDS * asked,
        ),
        "visitors": _held(
            present, visits, int(came), seconds=seconds, sure=noise <= APART and came == ended and not lost, spare=0.0
        ),
    }


def _held(integral: float, durations: float, count: int, *, seconds: float, sure: bool, spare: float) -> dict[str, Any]:
    off = abs(integral - durations)
    apart = off / durations if durations > 0 else None
    return {
        "there": integral / seconds if seconds else 0.0,
        "expected": durations / seconds if seconds else 0.0,
        "rate": count / seconds if seconds else 0.0,
        "stay": durations / count if count else None,
        "apart": apart,
        "holds": off <= max(APART * durations, spare) if sure and apart is not None else None,
    }

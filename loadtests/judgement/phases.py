"""Which seconds of a run are compared with which. Decided by the plan alone: what the target did moves no boundary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.shapes import Shape

# The plateau is where at least this share of the highest planned number of visitors is present.
PLATEAU = 0.9
_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Phase:
    """From `start` to `end`, in seconds of the run: warm-up, ramp, plateau or drain. Nobody is to arrive after
    `arrivals_end`."""

    name: str
    start: float
    end: float
    arrivals_end: float = math.inf


def of(shape: Shape, *, stays: Sequence[tuple[float, float]], warm_up: float) -> list[Phase]:
    """`stays`: (share of the visitors, seconds they stay). Warm-up is what the plan says; the plateau is the longest
    time in which at least 90 % of the highest planned number of visitors are present; before it is the ramp, after it
    the drain. Empty ones are left out."""
    end = shape.seconds + max(stay for _, stay in stays)
    at = [end * step / _POINTS for step in range(_POINTS + 1)]
    present = [
        sum(share * (shape.come_by(second) - shape.come_by(second - stay)) for share, stay in stays) for second in at
    ]
    start, stop = _longest_high(at, present)
    # Without arrivals the same visitors do other things: the plateau ends with them, unless it is mostly without.
    if start + (stop - start) / 2 <= shape.seconds < stop:
        stop = shape.seconds
    warm = min(warm_up, end)
    start, stop = max(start, warm), max(stop, warm)
    bounds = (("warm-up", 0.0, warm), ("ramp", warm, start), ("plateau", start, stop), ("drain", stop, end))
    return [Phase(*bound, shape.seconds) for bound in bounds if bound[2] > bound[1]]


def _longest_high(at: Sequence[float], present: Sequence[float]) -> tuple[float, float]:
    """Begin and end of the longest stretch in which the value is near its highest."""
    edge = PLATEAU * max(present)
    best, begin = (0.0, 0.0), None
    for second, value in zip(at, present, strict=True):
        if value < edge:
            begin = None
            continue
        begin = second if begin is None else begin
        best = max(best, (begin, second), key=lambda stretch: stretch[1] - stretch[0])
    return best

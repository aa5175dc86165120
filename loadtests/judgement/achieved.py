"""Which mix of scenarios arrived, beside the one that was planned."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from loadtests.frames import Frame
from loadtests.plans import Plan
from loadtests.replay.mix import fit


def mix(plan: Plan, frames: Iterable[Frame]) -> dict[str, Any]:
    """{planned, achieved: shares by scenario, counted, chi_square, freedom, p}. `p`: how often chance alone is that far
    off; None for a single scenario and for too few visitors to say."""
    counted: Counter[str] = Counter()
    for frame in frames:
        counted.update(frame.arrivals)
    whole, came = sum(plan.mix.values()), counted.total()
    fitted = fit(counted, plan.mix)
    return {
        "planned": {scenario: weight / whole for scenario, weight in plan.mix.items()},
        "achieved": {scenario: counted[scenario] / came if came else 0.0 for scenario in plan.mix},
        "counted": dict(counted),
        "chi_square": fitted.chi_square,
        "freedom": fitted.freedom,
        "p": fitted.p,
    }

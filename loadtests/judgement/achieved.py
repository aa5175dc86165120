"""Which mix of scenarios arrived, beside the plan's own draw, not its weights: a draw is chance; who was to arrive as
what is not."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from loadtests.frames import Frame
from loadtests.plans import Plan
from loadtests.replay.mix import fit


def mix(plan: Plan, frames: Iterable[Frame]) -> dict[str, Any]:
    """{planned, drawn, achieved: shares by scenario, counted, exact, chi_square, freedom, p}. `exact`: whether exactly
    those came whom the plan drew; None where fewer came. `p` is for those: how often chance alone is as far off; None
    for a single scenario and for too few visitors to say."""
    drawn = Counter(arrival.scenario for arrival in plan.arrivals())
    counted: Counter[str] = Counter()
    for frame in frames:
        counted.update(frame.arrivals)
    whole, came = sum(plan.mix.values()), counted.total()
    fitted = fit(counted, drawn)
    return {
        "planned": {scenario: weight / whole for scenario, weight in plan.mix.items()},
        "drawn": {scenario: drawn[scenario] / plan.users for scenario in plan.mix},
        "achieved": {scenario: counted[scenario] / came if came else 0.0 for scenario in plan.mix},
        "counted": dict(counted),
        "exact": counted == drawn if came >= plan.users else None,
        "chi_square": fitted.chi_square,
        "freedom": fitted.freedom,
        "p": fitted.p,
    }

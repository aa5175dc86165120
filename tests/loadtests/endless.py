"""What generators would report of a target with endless capacity, and the record that is made of it by the laboratory's
own code."""

import random
from collections.abc import Sequence
from typing import Any

from loadtests import stats
from loadtests.frames import Frame, Tally
from loadtests.judgement import judging
from loadtests.plans import Plan
from loadtests.steps import Ending, Outcome

STEPS = 10  # of a journey, evenly


def frames(
    plan: Plan, *, seconds: float = 0.01, failing: float = 0.0, until: float = float("inf"), cpu: float = 0.1
) -> list[Frame]:
    """Every answer takes so long; this share of them fails, and nobody minds. Nobody is let in from `until` on."""
    length, chance = plan.longest_journey, random.Random("endless")
    seen: dict[int, Frame] = {}

    def frame(moment: float) -> Frame:
        return seen.setdefault(int(moment), Frame(at=int(moment), worker=1, cpu=cpu))

    for arrival in plan.arrivals():
        if arrival.moment >= until:
            break
        came = frame(arrival.moment)
        came.arrivals[arrival.scenario] += 1
        came.late.record(0.001)
        for step in range(STEPS):
            at = frame(arrival.moment + length * step / STEPS)
            at.sent += 1
            at.received += 1
            at.in_flight_seconds += seconds
            tally = at.tallies.setdefault("signup.post" if step == 0 else "signup.poll", Tally())
            if chance.random() < failing:
                tally.outcomes[Outcome.FAILURE] += 1
                tally.wrong.record(seconds)
                at.unfit += 1
                at.errors["signup.poll", Outcome.FAILURE.value, "status 503"] += 1
            else:
                tally.outcomes[Outcome.SUCCESS] += 1
                tally.service.record(seconds)
                tally.intended.record(seconds)
        frame(arrival.moment + length).endings[arrival.scenario, Ending.FINISHED.value] += 1
    present = 0
    whole = [frame(at) for at in range(max(seen) + 1)]
    for each in whole:
        present += each.arrivals.total() - each.endings.total()
        each.present, each.present_seconds = present, present
    return whole


def record(plan: Plan, seen: Sequence[Frame], **more: Any) -> dict[str, Any]:
    """What of a run's record says whether it held, without an audit. `more`: the rest of what it is judged by."""
    took = max((frame.at + 1.0 for frame in seen), default=0.0)
    results = stats.measured(seen, plan=plan, started_at=0.0, seconds=took, ended_by="plan") if seen else None
    books = {"audited": False, "why": "nobody asked"}
    return {"results": results, **judging.judged(plan=plan, frames=seen, results=results, books=books, **more)}

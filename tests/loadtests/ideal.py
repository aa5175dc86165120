"""The frames of a run against a target that answers everything rightly within a millisecond, without running it: what
is not judged as passed of these is a plan that nobody can keep, or a judge who is wrong."""

from collections import Counter, defaultdict
from itertools import accumulate

from loadtests.frames import Frame, Tally
from loadtests.histogram import Histogram
from loadtests.plans import Plan
from loadtests.steps import Ending, Outcome

ANSWER_SECONDS = 0.001
STEPS = 10  # of a journey, at even distances: `<scenario>.post` first, then `<scenario>.poll`


def frames(plan: Plan) -> list[Frame]:
    """One generator's, second by second."""
    arrivals, endings, asked = defaultdict[int, Counter[str]](Counter), Counter[int](), Counter[tuple[int, str]]()
    present = defaultdict[int, float](float)
    who = defaultdict[int, Counter[tuple[str, str]]](Counter)
    for arrival in plan.arrivals():
        lasts, come, name = plan.journey(arrival.scenario), arrival.moment, arrival.scenario
        arrivals[int(come)][name] += 1
        who[int(come + lasts)][name, Ending.FINISHED.value] += 1
        endings[int(come + lasts)] += 1
        for step in range(STEPS):
            asked[int(come + step * lasts / STEPS), f"{name}.{'poll' if step else 'post'}"] += 1
        for moment, change in ((come, 1.0), (come + lasts, -1.0)):
            present[int(moment)] += change * (1 - moment % 1)
            present[int(moment) + 1] += change * (moment % 1)
    last = max(endings)
    there = list(accumulate(present[at] for at in range(last + 1)))
    made = [_frame(at, arrivals[at], who[at], there[at]) for at in range(last + 1)]
    for (second, name), count in asked.items():
        _answer(made[second], name, count)
    return made


def _frame(at: int, arrivals: Counter[str], endings: Counter[tuple[str, str]], present: float) -> Frame:
    late = _histogram(ANSWER_SECONDS, arrivals.total())
    return Frame(
        at=at,
        worker=1,
        arrivals=arrivals,
        endings=endings,
        late=late,
        present=round(present),
        present_seconds=max(0.0, present),
        cpu=0.1,
    )


def _answer(frame: Frame, step: str, count: int) -> None:
    durations = _histogram(ANSWER_SECONDS, count)
    frame.tallies[step] = Tally(
        durations, _histogram(ANSWER_SECONDS, count), outcomes=Counter({Outcome.SUCCESS: count})
    )
    frame.sent += count
    frame.received += count
    frame.in_flight_seconds += durations.sum_seconds


def _histogram(seconds: float, count: int) -> Histogram:
    one = Histogram()
    one.record(seconds)
    return Histogram(dict.fromkeys(one.counts, count)) if count else Histogram()

"""How often does a comparison call a difference that is none, and how often does it find one of ten per cent?

python -m bench.comparisons [same with same] [slowed by 10 %] [blocks] [seconds a run]

Visitors ask three endpoints of the server of known answers, in blocks of short runs of our own sessions, ordered and
judged as `loadtest compare` does it; B's second endpoint takes 10 % longer in the second kind. Goal: at most 1 in 20 of
the same with the same is called a regression, at least 9 of 10 slowed ones are; exits with 1 when that is missed.
"""

import random
import sys
import time
from collections import Counter

from bench.side_by_side import machine
from loadtests import stats
from loadtests.calibrating import known_server
from loadtests.calibrating.programme import PATH
from loadtests.comparison import compare
from loadtests.comparison.comparing import figures
from loadtests.frames import Recorder, Tally
from loadtests.sessions import Engine
from loadtests.steps import Journey, Step, Think
from loadtests.target import Target, resolve

VISITORS = 120  # a second; each asks three times
MARGIN = 0.05
SLOWED = 0.10
MOST_FALSE, LEAST_FOUND = 1 / 20, 9 / 10
MEDIANS = {"one": 10.0, "two": 20.0, "three": 40.0}  # ms; lognormal with sigma 0.3


def main() -> None:
    given = sys.argv[1:]
    same, slowed, blocks = (int(value) for value in (*given[:3], *("20", "10", "8")[len(given[:3]) :]))
    seconds = float(given[3]) if len(given) > 3 else 1.5
    with known_server.running() as server:
        target = resolve(server.url)
        _side(target, slower=0.0, seed=0, seconds=1.0)  # connections, caches: nobody's first run
        false = _answers("same with same", same, blocks, seconds, target, slower=0.0)
        found = _answers(f"slowed by {SLOWED:.0%}", slowed, blocks, seconds, target, slower=SLOWED)
    wrong, right = false["regression"], found["regression of two"]
    print(f"false regressions: {wrong} of {same}; found: {right} of {slowed} ({machine()})")
    if wrong > MOST_FALSE * same or right < LEAST_FOUND * slowed:
        sys.exit("missed: at most 1 in 20 and at least 9 in 10")


def _answers(name: str, times: int, blocks: int, seconds: float, target: Target, *, slower: float) -> Counter[str]:
    """What so many comparisons answered; a regression that is where it was planted is counted apart as well."""
    answers: Counter[str] = Counter()
    for number in range(times):
        began = time.monotonic()
        found = _compared(number, blocks, seconds, target, slower)
        answers[found.answer.value] += 1
        named = {effect.figure for effect in found.effects if effect.answer is compare.Answer.REGRESSION}
        if named and all(figure.startswith("two ") for figure in named):
            answers["regression of two"] += 1
        smallest = max(effect.smallest for effect in found.effects)
        regressed = f" ({', '.join(sorted(named))})" if named else ""
        took = f"would have seen {smallest:.1%}, {time.monotonic() - began:.0f} s"
        print(f"{name} {number + 1}/{times}: {found.answer.value}{regressed}, {took}", flush=True)
    return answers


def _compared(number: int, blocks: int, seconds: float, target: Target, slower: float) -> compare.Comparison:
    made = []
    for block, outer in enumerate(compare.orders(blocks=blocks, seed=number)):
        inner = "b" if outer == "a" else "a"
        seen = []
        for side in (outer, inner, inner, outer):
            more = slower if side == "b" else 0.0
            seen.append(_side(target, slower=more, seed=number * 1_000 + block, seconds=seconds))
        first, second, third, fourth = seen
        made.append(compare.Block(first, second, third, fourth, outer))
    return compare.compare(made, margin=MARGIN)


def _side(target: Target, *, slower: float, seed: int, seconds: float) -> compare.Figures:
    """One short run: its figures."""
    began = time.monotonic()
    recorder = Recorder(worker=1, clock=lambda: time.monotonic() - began)
    engine = Engine(
        target=target, recorder=recorder, request_timeout=30, connections=1, time_scale=1, expected={"*": 0.1}
    )
    left = 0

    def gone(ending: object) -> None:
        nonlocal left
        left += 1

    chance = random.Random(seed)
    moments = sorted(chance.random() * seconds for _ in range(round(VISITORS * seconds)))
    for moment in moments:
        journey = _journey(chance.random(), slower)
        engine.at(moment, lambda j=journey, m=moment: engine.begin(j, scenario="three", intended=m, done=gone))
    while left < len(moments):
        engine.turn(0.05)
    tallies = recorder.close_second(at=0, cpu=0.0, rss_bytes=0, connections=0).tallies
    engine.close()
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    steps = {name: stats.tally_as_json(tally) for name, tally in tallies.items()}
    return figures({"plateau": None, "steps": steps, "total": stats.tally_as_json(total)})


def _journey(thinking: float, slower: float) -> Journey:
    for name, median in MEDIANS.items():
        long = median * (1 + slower) if name == "two" else median
        yield Step(name, "GET", f"{PATH}?latency=lognormal:{long:g}ms,0.3&name={name}", needed=False)
        yield Think(0.05 * thinking)


if __name__ == "__main__":
    main()

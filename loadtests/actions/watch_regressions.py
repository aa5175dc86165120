"""Compare again and again, by a schedule. A regression is only told when a second comparison, made at once, names the
same figure: somebody is going to be woken up by it."""

import json
import time
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtests.actions import chosen, compare
from loadtests.comparison import comparing, many
from loadtests.comparison.compare import Answer, Comparison, TooFewBlocks
from loadtests.plans import Plan, PlanMistake
from loadtests.target import TargetRefused

NAME = "watch-regressions"
HELP = "compare by a schedule; ends with 1 at a regression that a second comparison confirms"


def add_arguments(parser: ArgumentParser) -> None:
    compare.add_arguments(parser)
    parser.add_argument("--every", type=float, default=3600.0, help="seconds from one begin to the next (default 3600)")
    parser.add_argument("--times", type=int, default=0, help="so many comparisons (default 0: until somebody ends it)")


def handle(options: dict[str, Any], console: Console) -> int:
    if options["every"] <= 0 or options["times"] < 0:
        raise PlanMistake("--every", "must be above 0, and --times not below it")
    sides = compare.plans(options)
    runs = chosen.begin(options, "watch", sides.values())
    watching = Watching(sides, options, runs, console)
    began, number = time.monotonic(), 0
    while not options["times"] or number < options["times"]:
        try:
            if regressed := watching.look(number):
                console.print(f"[bold red]regression, twice in a row:[/] {', '.join(regressed)}", soft_wrap=True)
                return compare.EXIT[Answer.REGRESSION]
            number += 1
            if not options["times"] or number < options["times"]:
                # A comparison that took longer than the interval skips those that it covered.
                time.sleep(-(time.monotonic() - began) % options["every"])
        except (many.Interrupted, KeyboardInterrupt):
            console.print("ended by hand")
            break
    return 0 if watching.told else compare.EXIT[Answer.CANNOT_TELL]


@dataclass(slots=True)
class Watching:
    """`watch.jsonl`: a line for each comparison, the confirming ones included. `told`: whether any of them could tell
    anything."""

    sides: dict[str, Plan]
    options: dict[str, Any]
    runs: many.Runs
    console: Console
    told: bool = False

    def look(self, number: int) -> list[str]:
        """One turn of the schedule: the figures of a confirmed regression."""
        seed = int(self.options["seed"]) + 2 * number
        first = self._compared(f"{number + 1:04d}", seed)
        if first is None or first.answer is not Answer.REGRESSION:
            return []
        second = self._compared(f"{number + 1:04d}-again", seed + 1)
        return [] if second is None else comparing.confirmed(first, second)

    def _compared(self, name: str, seed: int) -> Comparison | None:
        """None where nothing can be said: the generator was measured, or the target did not answer this time."""
        folder = self.runs.folder / name
        folder.mkdir()
        runs = replace(self.runs, folder=folder, made=0)
        try:
            found = compare.compared(self.sides, self.options, runs, seed=seed, console=self.console)
        except (comparing.Unbelievable, TooFewBlocks, TargetRefused) as error:
            self._write(name, {"answer": None, "why": str(error)})
            self.console.print(f"nothing is said: {error}", soft_wrap=True)
            return None
        compare.say(found, self.console)
        self._write(name, found.as_json())
        self.told = self.told or found.answer is not Answer.CANNOT_TELL
        return found

    def _write(self, name: str, said: dict[str, Any]) -> None:
        path: Path = self.runs.folder / "watch.jsonl"
        with path.open("a") as file:
            file.write(json.dumps({"at": time.time(), "comparison": name, **said}, allow_nan=False) + "\n")

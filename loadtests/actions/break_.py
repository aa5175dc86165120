"""The highest steady rate that keeps the limits, how the target breaks beyond it, and how long it takes to recover."""

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests.actions import chosen
from loadtests.capacity import overload, pressure, scalability
from loadtests.capacity.breaking import Ask, Bound, Found, Goal, Mark, Point, Purpose, decide
from loadtests.comparison import many
from loadtests.plans import MOST_USERS, Plan, PlanMistake
from loadtests.verdict import Outcome

NAME = "break"
HELP = "find the highest steady rate that keeps the limits, and what happens beyond it"
SHOWN = {Mark.HELD: "[green]held[/]", Mark.BROKE: "[red]broke[/]", Mark.UNKNOWN: "[yellow]not believed[/]"}


def add_arguments(parser: ArgumentParser) -> None:
    chosen.add_arguments(parser)
    parser.add_argument("--host", default=settings.PUBLIC_URL, help="which host (default %(default)s)")
    parser.add_argument("--start", type=float, help="the first rate, arrivals/s (default: the plan's)")
    parser.add_argument("--most", type=float, default=1e5, help="no higher rate than this, arrivals/s")
    parser.add_argument("--precision", type=float, default=0.05, help="of the answer, as a share (default 0.05)")
    parser.add_argument("--seconds", type=float, default=20.0, help="a plateau's length; long ones have 3 times it")
    parser.add_argument("--most-runs", type=int, default=40, help="then the answer is what is known (default 40)")
    parser.add_argument("--no-overload", action="store_true", help="do not go beyond the break")
    parser.add_argument("--no-audit", action="store_true", help="leave the books alone after the long runs")


def handle(options: dict[str, Any], console: Console) -> int:
    plan, goal = asked(options)
    breaking = Breaking(plan, goal, options, chosen.begin(options, "break", [plan]), console)
    console.print(f"[bold]break {plan.name}[/] at {plan.host}: {', '.join(plan.limits)}", soft_wrap=True)
    try:
        breaking.search()
        if not options["no_overload"]:
            breaking.overload()
    except (many.Interrupted, KeyboardInterrupt) as error:
        console.print(f"ended by hand: {error}", soft_wrap=True)
    return breaking.conclude()


def asked(options: dict[str, Any]) -> tuple[Plan, Goal]:
    """What is searched for, checked before anything is run. Raises `PlanMistake`."""
    if not 1 <= options["seconds"] <= 3_600:
        raise PlanMistake("--seconds", "must be from 1 to 3600")
    plan = chosen.plan(options, host=options["host"])
    if options["start"] is None and not plan.shape.seconds:
        raise PlanMistake("--start", "is missing: all visitors of this plan come at once, which is no rate")
    bound = pressure.most_rate(plan, seconds=options["seconds"])
    if (options["start"] or 0) > bound:
        raise PlanMistake("--start", f"must be at most {bound:.4g}/s here: a run has at most {MOST_USERS:,} visitors")
    most = min(options["most"], bound)
    start = min(plan.rate, most) if options["start"] is None else options["start"]
    goal = Goal(start=start, most=most, precision=options["precision"], most_runs=options["most_runs"])
    return replace(plan, limits=pressure.without_floors(plan)), goal


@dataclass(slots=True)
class Breaking:
    """A search that is going on."""

    plan: Plan
    goal: Goal
    options: dict[str, Any]
    runs: many.Runs
    console: Console
    points: list[Point] = field(default_factory=list)
    found: Found | None = None
    recovery: float | None = None
    recovery_known: bool = False
    books_are_wrong: bool = False

    def search(self) -> None:
        while not isinstance(step := decide(self.points, self.goal), Found):
            self.points.append(self._measured(step))
            self._keep()
        self.found = step

    def overload(self) -> None:
        """Only where both sides of a break are known, and what lies beyond is not too many visitors for a run."""
        found = self.found
        if found is None or found.rate is None or found.beyond is None or found.bound is not Bound.TARGET:
            return
        seconds = self.options["seconds"]
        try:
            spiked = pressure.spike(self.plan, held=found.rate, broke=found.beyond, seconds=seconds, seed=self._seed)
        except PlanMistake as mistake:
            self.console.print(f"no overload: {mistake}", markup=False, soft_wrap=True)
            return
        ran = self.runs.one(spiked.plan, "overload")
        point = pressure.overload_point(spiked=spiked, kept=ran.kept, frames=ran.frames, run=ran.name)
        self.points.append(point)
        self._say(point)
        good = pressure.good_seconds(spiked.plan, ran.frames)
        self.recovery = overload.recovery_seconds(good, ends_at=round(spiked.ends))
        self.recovery_known = point.mark is not Mark.UNKNOWN

    def conclude(self) -> int:
        self._keep()
        self.console.print(f"\n[bold]{self.found.sentence if self.found else 'not decided'}[/]", soft_wrap=True)
        breaks = overload.how(self.points)
        self.console.print(f"how it breaks: {breaks.way.value}", soft_wrap=True)
        for line in breaks.evidence:
            self.console.print(f"  {line}", markup=False, soft_wrap=True)
        self.console.print(f"recovery: {self._recovery}", soft_wrap=True)
        self.console.print(f"scalability: {_law(self.points)['sentence']}", soft_wrap=True)
        self.console.print(f"record: {self.runs.folder / 'break.json'}", soft_wrap=True)
        if self.books_are_wrong:
            self.console.print("[bold red]The books are wrong after a run.[/] Nothing else matters.", soft_wrap=True)
            return int(Outcome.BOOKS_WRONG.value)
        if self.found is None or self.found.rate is None:
            believed = any(point.mark is Mark.BROKE for point in self.points)
            outcome = Outcome.LIMITS_BROKEN if self.found and believed else Outcome.INVALID
            return int(outcome.value)
        return int(Outcome.PASSED.value)

    @property
    def _seed(self) -> int:
        """Another for each run: a rate is not to be judged by one lucky order of arrivals."""
        return int(self.options["seed"]) + len(self.points)

    @property
    def _recovery(self) -> str:
        if not self.recovery_known:
            return "not measured"
        if self.recovery is None:
            return "not within the run"
        return f"{self.recovery:g} s after the overload the limits held again"

    def _measured(self, ask: Ask) -> Point:
        plan = pressure.at_rate(self.plan, ask=ask, seconds=self.options["seconds"], seed=self._seed)
        audited = ask.purpose is Purpose.CONFIRM and not self.options["no_audit"]
        ran = self.runs.one(plan, f"{ask.purpose.value}-{ask.rate:g}", audit=chosen.books if audited else None)
        self.books_are_wrong = self.books_are_wrong or ran.books_are_wrong
        point = pressure.point(plan=plan, ask=ask, kept=ran.kept, frames=ran.frames, run=ran.name)
        self._say(point)
        return point

    def _say(self, point: Point) -> None:
        p99 = "" if point.p99 is None else f", p99 {point.p99:.1f} ms"
        text = f"{point.answered:.4g} right answers/s, {point.in_flight:.3g} in flight{p99}"
        self.console.print(f"{point.purpose.value:>8} {point.rate:>8g}/s  {SHOWN[point.mark]}  {text}", soft_wrap=True)
        for why in point.why:
            self.console.print(f"{'':>20}{why}", markup=False, soft_wrap=True)

    def _keep(self) -> None:
        self.runs.keep(
            "break.json",
            {
                "plan": self.plan.as_json(),
                "goal": {"start": self.goal.start, "most": self.goal.most, "precision": self.goal.precision},
                "points": [point.as_json() for point in self.points],
                "found": None if self.found is None else _found(self.found),
                "how": overload.how(self.points).as_json(),
                "recovery": {"seconds": self.recovery, "measured": self.recovery_known},
                "scalability": _law(self.points),
                "books_are_wrong": self.books_are_wrong,
            },
        )


def _found(found: Found) -> dict[str, Any]:
    plain = {"rate": found.rate, "beyond": found.beyond, "bound": found.bound.name.lower()}
    return {**plain, "sentence": found.sentence}


def _law(points: Sequence[Point]) -> dict[str, Any]:
    try:
        return scalability.fit(pressure.loaded(points)).as_json()
    except scalability.TooLittle as error:
        return {"sentence": f"no law is fitted: {error}"}

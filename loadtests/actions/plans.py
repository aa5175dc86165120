"""The plans that have a name, and what a plan means: how many, when, for how long."""

from argparse import ArgumentParser
from typing import Any

from rich.console import Console
from rich.padding import Padding

from loadtests.planning import plan_files, plan_text
from loadtests.plans import Plan

NAME = "plans"
HELP = "the plans that have a name, or one plan in full"
# Only to be shown: a plan that is shown is not run.
_NOWHERE = "http://127.0.0.1:8000"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", help="a plan's name, a scenario's name or the path of a .toml")
    parser.add_argument("--toml", action="store_true", help="print it as a file to begin one's own with")


def handle(options: dict[str, Any], console: Console) -> int:
    if options["plan"] is None:
        _say_all(console)
    elif options["toml"]:
        console.print(_file(options["plan"]), markup=False, highlight=False, soft_wrap=True)
    else:
        _say(plan_files.chosen(options["plan"], default_host=_NOWHERE), console)
    return 0


def _file(what: str) -> str:
    """A plan that has a name as its author wrote it; the host is left to whoever runs it."""
    plan = plan_files.chosen(what, default_host="")
    files = plan_files.reference()
    return files[what].read_text() if what in files else plan_text.as_toml(plan, brief=True)


def _say_all(console: Console) -> None:
    for name in plan_files.reference():
        plan = plan_files.chosen(name, default_host=_NOWHERE)
        console.print(f"[bold]{name}[/]  {plan.users:,} visitors, {_arrivals(plan)}", highlight=False, soft_wrap=True)
        console.print(Padding(plan.intention, (0, 0, 0, 2)), highlight=False)


def _say(plan: Plan, console: Console) -> None:
    whole = sum(plan.mix.values())
    mix = ", ".join(f"{scenario} {weight / whole:.0%}" for scenario, weight in plan.mix.items())
    console.print(f"[bold]{plan.name}[/] {plan.intention}", soft_wrap=True)
    console.print(f"  {plan.users:,} visitors, {mix}; {_arrivals(plan)}, {plan.rate:.3g} a second", soft_wrap=True)
    console.print(
        f"  time scale {plan.time_scale:g}, seed {plan.seed}, ended by force after {plan.hard_stop_seconds:.0f} s"
    )
    for phase in plan.phases():
        console.print(f"  {phase.name}: {phase.start:.0f} s to {phase.end:.0f} s")
    for limit in plan.limits:
        console.print(f"  {limit}", markup=False, soft_wrap=True)


def _arrivals(plan: Plan) -> str:
    return f"{plan.shape.kind} in {plan.shape.seconds:.0f} s" if plan.shape.seconds else "all at once"

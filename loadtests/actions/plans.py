"""The plans that have a name, and what a plan means: how many, when, for how long."""

from argparse import ArgumentParser
from typing import Any

from rich.console import Console
from rich.table import Table

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
        console.print(_all())
        return 0
    plan = plan_files.chosen(options["plan"], default_host=_NOWHERE)
    if options["toml"]:
        console.print(plan_text.as_toml(plan), markup=False, soft_wrap=True)
    else:
        _say(plan, console)
    return 0


def _all() -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("plan", "visitors", "a second", "arrivals", "what for"):
        table.add_column(name, justify="right" if name in ("visitors", "a second") else "left", no_wrap=name == "plan")
    for name in plan_files.reference():
        plan = plan_files.chosen(name, default_host=_NOWHERE)
        table.add_row(name, f"{plan.users:,}", f"{plan.rate:.3g}", _arrivals(plan), plan.intention)
    return table


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

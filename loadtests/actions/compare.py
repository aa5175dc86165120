"""Is B slower than A? Two hosts under the same plan, or one host under two plans."""

from argparse import ArgumentParser
from typing import Any

from rich.console import Console

from loadtests.actions import chosen
from loadtests.capacity import pressure
from loadtests.capacity.breaking import Ask, Purpose
from loadtests.comparison import compare, comparing, many
from loadtests.comparison.compare import Answer, Comparison
from loadtests.plans import Plan, PlanMistake

NAME = "compare"
HELP = "two hosts, or two plans, in interleaved short runs: regression, improvement, equal, cannot tell"
EXIT = {Answer.REGRESSION: 1, Answer.CANNOT_TELL: 3}
COLOUR = {Answer.REGRESSION: "red", Answer.CANNOT_TELL: "yellow"}


def add_arguments(parser: ArgumentParser) -> None:
    chosen.add_arguments(parser)
    parser.add_argument("--a", required=True, metavar="HOST", help="what is compared with")
    parser.add_argument("--b", metavar="HOST", help="what is asked about (default: that of --a, with --plan-b)")
    parser.add_argument("--plan-b", metavar="PLAN", help="another plan for B")
    parser.add_argument("--rate", type=float, help="arrivals/s of each run (default: the plan's)")
    parser.add_argument("--seconds", type=float, default=10.0, help="a run's plateau (default 10)")
    parser.add_argument("--blocks", type=int, default=8, help="of four runs each, 6 or more (default 8)")
    parser.add_argument("--margin", type=float, default=0.05, help="what does not matter, as a share (default 0.05)")


def handle(options: dict[str, Any], console: Console) -> int:
    sides = plans(options)
    runs = chosen.begin(options, "compare", sides.values())
    try:
        found = compared(sides, options, runs, seed=options["seed"], console=console)
    except (many.Interrupted, comparing.Unbelievable, compare.TooFewBlocks, KeyboardInterrupt) as error:
        console.print(f"[bold yellow]nothing is said:[/] {error or 'ended by hand'}", soft_wrap=True)
        return EXIT[Answer.CANNOT_TELL]
    say(found, console)
    console.print(f"record: {runs.folder / comparing.NAME}", soft_wrap=True)
    return EXIT.get(found.answer, 0)


def plans(options: dict[str, Any]) -> dict[str, Plan]:
    """Of both sides, checked before anything is run. Raises `PlanMistake`."""
    if not (options["b"] or options["plan_b"]):
        raise PlanMistake("--b", "or --plan-b is missing: what is A to be compared with?")
    if options["blocks"] < compare.FEWEST_BLOCKS:
        raise PlanMistake(
            "--blocks", f"must be {compare.FEWEST_BLOCKS} or more: fewer cannot tell anything from chance"
        )
    if not 1 <= options["seconds"] <= 3_600 or not 0 < options["margin"] < 1:
        raise PlanMistake("--seconds", "must be from 1 to 3600, and --margin between 0 and 1")
    a = chosen.plan(options, host=options["a"])
    b = chosen.plan(options, what=options["plan_b"], host=options["b"] or options["a"])
    return {"a": _short(a, options), "b": _short(b, options)}


def compared(
    sides: dict[str, Plan], options: dict[str, Any], runs: many.Runs, *, seed: int, console: Console
) -> Comparison:
    console.print(f"[bold]compare[/] A {sides['a'].host} and B {sides['b'].host}", soft_wrap=True)
    comparing_ = comparing.Comparing(
        sides, runs, seed=seed, margin=options["margin"], say=lambda text: console.print(text, soft_wrap=True)
    )
    return comparing_.go(options["blocks"])


def say(found: Comparison, console: Console) -> None:
    for line in comparing.table(found):
        console.print(line, markup=False, soft_wrap=True)
    colour = COLOUR.get(found.answer, "green")
    console.print(f"\n[bold {colour}]{found.answer.value}[/]", soft_wrap=True)
    console.print(found.sentence, markup=False, soft_wrap=True)


def _short(plan: Plan, options: dict[str, Any]) -> Plan:
    ask = Ask(options["rate"] or plan.rate, Purpose.CLIMB)
    return pressure.at_rate(plan, ask=ask, seconds=options["seconds"], seed=plan.seed)

"""The options that say what is driven, for actions that run a plan many times."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings

from loadtests import audit, runs
from loadtests.comparison import many
from loadtests.guard import challenge
from loadtests.planning import plan_files
from loadtests.plans import Plan


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("plan", help="a scenario, a reference plan by its name, or a plan's file")
    parser.add_argument("--time-scale", type=float, help="every wait of a visitor times this")
    parser.add_argument("--seed", type=int, default=1, help="of the runs, one after the other (default 1)")
    parser.add_argument("--timeout", type=float, help="seconds an answer may take (default 30)")
    parser.add_argument(
        "--limit", action="append", metavar="LINE", help="a limit instead of the plan's; again for more"
    )
    parser.add_argument("--environment", help="the name by which the target says that it is one")
    parser.add_argument("--allow-host", action="append", help="a host beyond this machine that may be driven")
    parser.add_argument("--run-dir", type=Path, help="folder for all runs; new or empty (default runs/<time>-…)")


def plan(options: dict[str, Any], *, what: str | None = None, host: str | None = None) -> Plan:
    """Raises `PlanMistake`."""
    chosen = plan_files.chosen(
        what or options["plan"],
        default_host=settings.PUBLIC_URL,
        host=host,
        time_scale=options["time_scale"],
        seed=options["seed"],
        request_timeout=options["timeout"],
        limits=tuple(options["limit"]) if options["limit"] else None,
        environment=options["environment"],
        allow=tuple(options["allow_host"]) if options["allow_host"] else None,
    )
    many.demand_repeatable(chosen)
    return replace(chosen, environment=chosen.environment or settings.LOAD_TARGET or challenge.DEMO)


def begin(options: dict[str, Any], what: str, plans: Iterable[Plan]) -> many.Runs:
    """The folder of an action that is called so, once all that it will drive have said that they are load targets.
    Raises `RunDirUnusable`, `TargetRefused`."""
    for each in plans:
        runs.admitted(each)
    command = shlex.join(["manage.py", *sys.argv[1:]])
    return many.begin(chosen=options["run_dir"], root=settings.BASE_DIR / "runs", what=what, command=command)


def books(run_dir: Path) -> dict[str, Any]:
    return audit.run(manage=settings.BASE_DIR / "manage.py", acknowledged=run_dir / "acknowledged.jsonl")

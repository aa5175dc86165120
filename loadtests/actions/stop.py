"""Ending a run in order, from anywhere on its machine."""

from argparse import ArgumentParser
from typing import Any

from rich.console import Console

from loadtests.actions import list_, watch
from loadtests.running import live

NAME = "stop"
HELP = "end a run in order: nobody else arrives, those present finish"


def add_arguments(parser: ArgumentParser) -> None:
    watch.add_arguments(parser)
    parser.add_argument("--now", action="store_true", help="those present leave at once as well")


def handle(options: dict[str, Any], console: Console) -> int:
    run = live.find(options["run"], list_.folders(options))
    live.stop(run, at_once=options["now"])
    console.print(f"run {run.run_id}: {'everybody leaves' if options['now'] else 'no more arrivals'}")
    return 0

"""Looking on at a run that somebody else started."""

import time
from argparse import ArgumentParser
from typing import Any

from rich.console import Console

from loadtests.actions import list_
from loadtests.running import live, progress

NAME = "watch"
HELP = "look on at a run that is going on"
PAUSE_SECONDS = 0.5


def add_arguments(parser: ArgumentParser) -> None:
    list_.add_arguments(parser)
    parser.add_argument("run", help="the run's id, its folder's name or its path")


def handle(options: dict[str, Any], console: Console) -> int:
    run = live.find(options["run"], list_.folders(options))
    seen: dict[str, Any] = {}
    with progress.shown(console, run.title) as show:
        while (now := live.read(run.run_dir)) is not None and now.alive:
            if now.progress and now.progress != seen:
                seen = now.progress
                show(seen)
            time.sleep(PAUSE_SECONDS)
    console.print(f"run {run.run_id} is over: {run.run_dir}", soft_wrap=True)
    return 0

"""The runs that are going on."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests.running import live

NAME = "list"
HELP = "the runs that are going on"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, help="the folder of the runs (default runs/ and the data folder's)")


def handle(options: dict[str, Any], console: Console) -> int:
    looked = folders(options)
    found = list(live.below(looked))
    for run in found:
        arrived = f"{run.progress.get('arrived', 0)}/{run.progress.get('planned', '?')} arrived"
        line = f"{run.run_id}  {_state(run)} since {time.time() - run.since:.0f} s  {arrived}  {run.title}"
        console.print(f"{line}\n        {run.run_dir}", soft_wrap=True, markup=False)
    if not found:
        where = " and ".join(str(folder) for folder in looked)
        console.print(f"no run is going on below {where} (--runs FOLDER looks elsewhere)", soft_wrap=True, markup=False)
    return 0


def folders(options: dict[str, Any]) -> list[Path]:
    return [options["runs"]] if options["runs"] else [settings.BASE_DIR / "runs", Path(settings.DATA_DIR) / "runs"]


def _state(run: live.Live) -> str:
    if not run.alive:
        return "died"
    return "draining" if run.progress.get("draining") else "going on"

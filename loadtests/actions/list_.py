"""The runs that are going on."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.console import Console
from rich.table import Table

from loadtests import live

NAME = "list"
HELP = "the runs that are going on"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, help="the folder of the runs (default runs/ and the data folder's)")


def handle(options: dict[str, Any], console: Console) -> int:
    table = Table(box=None, pad_edge=False)
    for name in ("run", "since", "arrived", "state", "plan", "folder"):
        table.add_column(name, no_wrap=name != "plan", overflow="fold")
    found = list(live.below(folders(options)))
    for run in found:
        arrived = f"{run.progress.get('arrived', 0)}/{run.progress.get('planned', '?')}"
        since = f"{time.time() - run.since:.0f} s"
        table.add_row(run.run_id, since, arrived, _state(run), run.title, str(run.run_dir))
    console.print(table if found else "no run is going on")
    return 0


def folders(options: dict[str, Any]) -> list[Path]:
    return [options["runs"]] if options["runs"] else [settings.BASE_DIR / "runs", Path(settings.DATA_DIR) / "runs"]


def _state(run: live.Live) -> str:
    if not run.alive:
        return "died"
    return "draining" if run.progress.get("draining") else "going on"

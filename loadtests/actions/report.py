"""The report of a run, made again from its record."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtests import record, report, saying

NAME = "report"
HELP = "make the report of a run again"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path)


def handle(options: dict[str, Any], console: Console) -> int:
    run_dir: Path = options["run_dir"]
    kept = record.read(run_dir)
    saying.say_verdict(kept, report.write(run_dir=run_dir, record=kept), console)
    return 0

"""The summary of a run in the terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtests import retelling

MARKS = {"holds": "[green]✓[/]", "broken": "[red]✗[/]", "unknown": "[yellow]?[/]"}


def say_verdict(kept: dict[str, Any], report_file: Path, console: Console) -> None:
    judged = kept["verdict"]
    colour = "green" if judged["exit_code"] == 0 else "red"
    console.print(f"\n[bold {colour}]{judged['outcome'].replace('_', ' ')}[/] {judged['sentence']}", soft_wrap=True)
    for check in judged["checks"]:
        console.print(f"  {MARKS[check['mark']]} {check['name']}: ", end="")
        console.print(check["detail"], markup=False, soft_wrap=True)
    for line in _figures(kept):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {report_file}", soft_wrap=True)


def _figures(kept: dict[str, Any]) -> Iterator[str]:
    if kept["results"]:
        total = kept["results"]["total"]
        latency, intended = total["latency_ms"], total["intended_ms"]
        if latency["count"]:
            figures = ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99", "max"))
            yield f"{latency['count']} right answers: {figures}; p99 intended {intended['p99']:.1f} ms"
    yield from retelling.errors(kept)
    if ended := retelling.ended(kept):
        yield f"ended by {ended}"
    if moved := retelling.staleness(kept):
        yield f"data that moved: {moved}"
    if gave_way := retelling.gave_way(kept):
        yield f"gave way first: {gave_way}"

"""The summary of a run in the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console

MARKS = {"holds": "[green]✓[/]", "broken": "[red]✗[/]", "unknown": "[yellow]?[/]"}


def say_verdict(kept: dict[str, Any], report_file: Path, console: Console) -> None:
    judged = kept["verdict"]
    colour = "green" if judged["exit_code"] == 0 else "red"
    console.print(f"\n[bold {colour}]{judged['outcome'].replace('_', ' ')}[/] {judged['sentence']}", soft_wrap=True)
    for check in judged["checks"]:
        console.print(f"  {MARKS[check['mark']]} {check['name']}: ", end="")
        console.print(check["detail"], markup=False, soft_wrap=True)
    if kept["results"]:
        latency = kept["results"]["total"]["latency_ms"]
        if latency["count"]:
            figures = ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p95", "p99", "max"))
            console.print(f"  {latency['count']} right answers: {figures}", soft_wrap=True)
    console.print(f"report: {report_file}", soft_wrap=True)

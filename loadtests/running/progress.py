"""What one sees while a run is going: one live table in a terminal, a plain line every few seconds elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

PLAIN_EVERY_SECONDS = 5.0


class Shown(Protocol):
    def __call__(self, progress: dict[str, Any]) -> None: ...


@contextmanager
def shown(console: Console, title: str) -> Iterator[Shown]:
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda progress: live.update(_table(title, progress))
    else:
        yield _Lines(console)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def __call__(self, progress: dict[str, Any]) -> None:
        if progress["elapsed"] < self._next:
            return
        self._next = progress["elapsed"] + PLAIN_EVERY_SECONDS
        cells = "  ".join(f"{name} {value}" for name, value in _cells(progress))
        self._console.print(cells, highlight=False, soft_wrap=True)


def _table(title: str, progress: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left")
    row = []
    for name, value in _cells(progress):
        table.add_column(name, justify="right", no_wrap=True)
        row.append(f"[bold red]{value}[/]" if name == "failed" and progress["failed"] else value)
    table.add_row(*row)
    return table


def _cells(progress: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("draining" if progress["draining"] else "elapsed", f"{progress['elapsed']:.0f} s"),
        ("arrived", f"{progress['arrived']}/{progress['planned']}"),
        ("present", str(progress["present"])),
        ("finished", str(progress["finished"])),
        ("requests", str(progress["requests"])),
        ("req/s", str(progress["rate"])),
        ("failed", str(progress["failed"])),
        ("in flight", str(progress["in_flight"])),
        ("p50", _ms(progress["p50"])),
        ("p99", _ms(progress["p99"])),
        ("cpu", f"{progress['cpu']:.0%}"),
    ]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"

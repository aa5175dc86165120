"""All runs: listed, shown, annotated, exported."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from loadtests import ledger, spreadsheet

NAME = "ledger"
HELP = "all runs: list, show, note, export"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=settings.BASE_DIR / "runs", help="the folder of the runs")
    what = parser.add_subparsers(dest="what", required=True)
    listing = what.add_parser("list", help="the latest runs")
    listing.add_argument("--last", type=int, default=20, help="how many (default %(default)s)")
    what.add_parser("show", help="one run").add_argument("run", help="its id, or the beginning of it")
    noting = what.add_parser("note", help="write something beside a run")
    noting.add_argument("run", help="its id, or the beginning of it")
    noting.add_argument("text", nargs="?", default="")
    noting.add_argument("--changes", default="", help="what had been changed before it")
    noting.add_argument("--link", action="append", default=[], help="can be repeated")
    exporting = what.add_parser("export", help="the spreadsheet: Date, Time, Changes, Focus, Users, …")
    exporting.add_argument("--format", choices=("csv", "json"), default="csv")
    exporting.add_argument("--output", type=Path, help="a file; else it is printed")


def handle(options: dict[str, Any], console: Console) -> int:
    folder: Path = options["runs"]
    match options["what"]:
        case "list":
            _list(ledger.read(folder), options["last"], console)
        case "show":
            _show(ledger.read(folder).find(options["run"]), console)
        case "note":
            _note(folder, options, console)
        case _:
            _export(ledger.read(folder), options, console)
    return 0


def _list(kept: ledger.Ledger, last: int, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("run", "Date", "Time", "plan", "Users", "/s", "Results"):
        table.add_column(name, no_wrap=name != "Results")
    rows = list(zip(kept.entries, spreadsheet.rows(kept.entries), strict=True))
    for entry, row in rows[-last:] if last > 0 else []:
        figures = (row["Users"], row["Users/Second"], row["Results"])
        table.add_row(entry.run_id, row["Date"], row["Time"], str(entry.run["name"]), *figures)
    console.print(table)
    if kept.torn:
        console.print(f"{kept.torn} lines of the ledger cannot be read any more: a crash tore them")


def _show(entry: ledger.Entry, console: Console) -> None:
    console.print_json(json.dumps({"run": dict(entry.run), "notes": [dict(note) for note in entry.notes]}))


def _note(folder: Path, options: dict[str, Any], console: Console) -> None:
    if not (options["text"] or options["changes"] or options["link"]):
        raise ledger.NoSuchRun("there is nothing to note: give a text, --changes or --link")
    entry = ledger.note(
        folder,
        run_id=options["run"],
        text=options["text"],
        changes=options["changes"],
        links=options["link"],
        now=timezone.now(),
    )
    console.print(f"noted beside {entry.run_id}")


def _export(kept: ledger.Ledger, options: dict[str, Any], console: Console) -> None:
    rows = spreadsheet.rows(kept.entries)
    text = spreadsheet.as_csv(kept.entries) if options["format"] == "csv" else json.dumps(rows, indent=1) + "\n"
    output: Path | None = options["output"]
    if output is not None:
        output.write_text(text)
        console.print(f"{len(rows)} runs in {output}", soft_wrap=True)
    else:
        console.print(text, end="", markup=False, soft_wrap=True)

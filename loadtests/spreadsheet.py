"""The ledger as the spreadsheet that people keep of their load tests by hand."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.ledger import Entry

COLUMNS = ("Date", "Time", "Changes", "Focus", "Users", "Users/Second", "Results", "Notes", "Links")
# A cell that begins like this is taken for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Oldest first. Changes: against the run before, and what people noted."""
    befores: list[Entry | None] = [None, *entries[:-1]]
    return [_row(entry, before) for entry, before in zip(entries, befores, strict=False)]


def as_csv(entries: Sequence[Entry]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows(entries):
        writer.writerow({name: _cell(text) for name, text in row.items()})
    return out.getvalue()


def _row(entry: Entry, before: Entry | None) -> dict[str, str]:
    run = entry.run
    noted = [str(note["changes"]) for note in entry.notes if note.get("changes")]
    links = [str(Path(run["run_dir"]) / "report.html"), *(link for note in entry.notes for link in note["links"])]
    return {
        "Date": f"{entry.at:%Y-%m-%d}",
        "Time": f"{entry.at:%H:%M}",
        "Changes": "; ".join([*noted, *changes(run, before.run if before else None)]),
        "Focus": run["intention"] or run["name"],
        "Users": str(run["plan"]["users"]),
        "Users/Second": f"{rate(run['plan']):.3g}",
        "Results": outcome(run),
        "Notes": "; ".join([*_causes(run), *(str(note["text"]) for note in entry.notes if note.get("text"))]),
        "Links": " ".join(links),
    }


def changes(run: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    """What is different from the run before, as far as the laboratory knows."""
    now, then = run["environment"], before["environment"] if before else {}
    found = []
    if now.get("laboratory_commit") != then.get("laboratory_commit"):
        found.append(f"laboratory's commit {now.get('laboratory_commit')}")
    if before and now.get("laboratory_settings_hash") != then.get("laboratory_settings_hash"):
        found.append("laboratory's settings")
    if before and now.get("host") != then.get("host"):
        found.append("machine")
    if before and run["plan"].get("host") != before["plan"].get("host"):
        found.append(f"target {run['plan']['host']}")
    return found


def outcome(run: Mapping[str, Any]) -> str:
    results, said = run["results"], run["outcome"].replace("_", " ")
    if results is None:
        return f"{said}: nothing was measured"
    latency = results["latency_ms"]
    figures = [
        f"{results['failed']} of {results['requests']} failed",
        f"{results['requests_per_second']:.3g} requests/s",
    ]
    figures += [f"{name} {latency[name]:.0f} ms" for name in ("p50", "p95", "p99") if latency[name] is not None]
    broken = f"; broken: {', '.join(run['broken'])}" if run["broken"] else ""
    return f"{said}: {', '.join(figures)}{broken}"


def rate(plan: Mapping[str, Any]) -> float:
    """Arrivals a second, the mean."""
    pieces = plan["shape"]["pieces"]
    seconds = sum(piece[0] for piece in pieces)
    people = sum(piece[3] + piece[0] * (piece[1] + piece[2]) / 2 for piece in pieces)
    return float(people / seconds) if seconds else float(people)


def _causes(run: Mapping[str, Any]) -> list[str]:
    return [f"gave way first: {run['gave_way']}"] if run["gave_way"] not in (None, "nothing") else []


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text

"""The ledger: each run a line, appended and never changed, in `ledger.jsonl` of the folder in which the runs are. What
people add later (notes, links) are lines of their own.

A line is written whole under a lock and synced. A line that a crash tore is left where it is, counted and passed over;
whoever writes next begins a new one.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

FILE = "ledger.jsonl"
FORMAT = 1


class NoSuchRun(Exception):
    """The ledger has no such run, or several that are meant; the message says which."""


@dataclass(slots=True)
class Entry:
    """One run with what was noted of it. `run`: its line, as `line_of` made it."""

    run: Mapping[str, Any]
    notes: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return str(self.run["run_id"])

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.run["at"])


@dataclass(frozen=True, slots=True)
class Ledger:
    """All runs in the order of their ends. `torn`: lines that nobody can read any more."""

    entries: list[Entry]
    torn: int

    def find(self, run_id: str) -> Entry:
        """By its id or the beginning of it. Raises `NoSuchRun`."""
        found = [entry for entry in self.entries if entry.run_id.startswith(run_id)]
        if len(found) != 1:
            several = f"; it begins {', '.join(entry.run_id for entry in found)}" if found else ""
            raise NoSuchRun(f"the ledger has {len(found)} runs {run_id!r}{several}")
        return found[0]


def line_of(record: Mapping[str, Any], *, run_dir: Path, now: datetime) -> dict[str, Any]:
    """What is kept of a run's record: enough to tell runs apart and to repeat one, without its series."""
    results, judged = record["results"], record["verdict"]
    return {
        "kind": "run",
        "format": FORMAT,
        "run_id": record["run_id"],
        "at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "name": record["name"],
        "intention": record["intention"],
        "command": record["command"],
        "plan": record["plan"],
        "environment": record["environment"],
        "outcome": judged["outcome"],
        "exit_code": judged["exit_code"],
        "sentence": judged["sentence"],
        "broken": [check["name"] for check in judged["checks"] if check["mark"] == "broken"],
        "results": None if results is None else _figures(results),
        "gave_way": (record.get("gave_way") or {}).get("what"),
        "certified": record.get("certificate") is not None,
        "run_dir": str(run_dir.resolve()),
    }


def _figures(results: Mapping[str, Any]) -> dict[str, Any]:
    total, seconds = results["total"], results["seconds"]
    requests = sum(total[kind] for kind in ("success", "failure", "timeout", "untrue"))
    return {
        "seconds": seconds,
        "visitors": results["visitors"],
        "requests": requests,
        "requests_per_second": requests / seconds if seconds else 0.0,
        "failed": total["failure"] + total["timeout"],
        "untrue": total["untrue"],
        "present": max(results["series"]["present"], default=0),
        "latency_ms": {name: total["latency_ms"][name] for name in ("mean", "p50", "p95", "p99", "max")},
        "intended_ms": {name: total["intended_ms"][name] for name in ("p50", "p95", "p99", "max")},
        "ended_by": results["ended_by"],
    }


def note(folder: Path, *, run_id: str, text: str, changes: str, links: list[str], now: datetime) -> Entry:
    """Add to what is known of a run. Raises `NoSuchRun`, `OSError`."""
    entry = read(folder).find(run_id)
    line = {"kind": "note", "run_id": entry.run_id, "at": now.astimezone(UTC).isoformat(timespec="seconds")}
    append(folder, {**line, "text": text, "changes": changes, "links": links})
    return entry


def append(folder: Path, line: Mapping[str, Any]) -> None:
    """Raises `OSError`; then nothing was added, or a part of a line, which readers pass over."""
    with _locked(folder / FILE) as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and _last_byte(file) != b"\n"
        file.write((b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Ledger:
    """An absent ledger is an empty one. Raises `OSError`."""
    try:
        raw = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return Ledger([], 0)
    entries: dict[str, Entry] = {}
    torn = 0
    for text in raw.splitlines():
        line = _understood(text)
        if line is None:
            torn += bool(text.strip())
        elif line["kind"] == "run":
            entries[line["run_id"]] = Entry(line)
        elif line["run_id"] in entries:
            entries[line["run_id"]].notes.append(line)
    return Ledger(list(entries.values()), torn)


def _understood(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("kind") not in ("run", "note") or not isinstance(line.get("run_id"), str):
        return None
    if line["kind"] == "run" and line.get("format") != FORMAT:
        return None
    return line


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)

"""The run directory: `run.json` (everything), `frames.jsonl` (what it was made from), the evidence of the visitors
(`acknowledged.jsonl`, `evidence.jsonl`, `spent-invitations.jsonl` ...), `report.html`."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import jsonlines
from loadtests.running.framefile import RESERVE, RESERVE_BYTES

FORMAT = 2
MARK = "run.mark"  # what only this run knows: a worker that reads it here is on this machine


class RunDirUnusable(Exception):
    """The run directory cannot be used; the message says why."""


def new_run_id() -> str:
    return secrets.token_hex(3)


def prepare(*, chosen: Path | None, root: Path, scenario: str, run_id: str, now: datetime) -> Path:
    """A new, writable run directory. Raises `RunDirUnusable`, before anything was sent."""
    run_dir = chosen or root / f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{scenario}-{run_id}"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if any(run_dir.iterdir()):
            raise RunDirUnusable(f"{run_dir} is not empty: a run never writes over another")
        (run_dir / "acknowledged.jsonl").touch()
        (run_dir / MARK).write_text(secrets.token_hex(16))
        # Given up when the disk fills meanwhile; a disk that is full already is said now.
        (run_dir / RESERVE).write_bytes(os.urandom(1 << 20) * (RESERVE_BYTES >> 20))
    except OSError as error:
        raise RunDirUnusable(f"{run_dir} cannot be written: {error.strerror or error}") from error
    return run_dir


def discard(run_dir: Path, *, made: bool) -> None:
    """What `prepare` and whoever came after it have left, of a run that was refused: the folder was new or empty.
    `made`: it was new."""
    with suppress(OSError):
        for one in run_dir.iterdir():
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        if made:
            run_dir.rmdir()


def spent(root: Path) -> Iterator[str]:
    """The marks of the invitations that earlier runs in this folder have used."""
    for file in sorted(root.glob("*/spent-invitations.jsonl")):
        yield from (str(line["mark"]) for line in jsonlines.read(file) if "mark" in line)


def mark(run_dir: Path) -> str:
    return (run_dir / MARK).read_text()


def write(*, run_dir: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The record, as it is kept; whole or not at all. Raises `RunDirUnusable`."""
    kept = {"format": FORMAT, **content}
    for spare in (RESERVE, MARK):
        (run_dir / spare).unlink(missing_ok=True)
    draft = run_dir / "run.draft"
    try:
        draft.write_text(json.dumps(kept, indent=1))
        draft.rename(run_dir / "run.json")
    except OSError as error:
        raise RunDirUnusable(f"the record of {run_dir} cannot be written: {error.strerror}") from error
    return kept


def read(run_dir: Path) -> dict[str, Any]:
    """The record of a run. Raises `RunDirUnusable`."""
    try:
        record = json.loads((run_dir / "run.json").read_text())
    except OSError as error:
        raise RunDirUnusable(f"{run_dir} holds no run: {error.strerror}") from error
    except ValueError as error:
        raise RunDirUnusable(f"{run_dir}/run.json is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunDirUnusable(f"{run_dir}/run.json is not a record of format {FORMAT}")
    return record

"""Several runs that answer one question together, in one folder: a search, a comparison. Each is a whole run, with its
record, in a folder below; what they say together is one JSON file beside them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests import record, runs
from loadtests.frames import Frame
from loadtests.plans import Plan, PlanMistake
from loadtests.running import framefile

Audit = Callable[[Path], dict[str, Any]]
INTERRUPTED = ("interrupt", "second interrupt", "termination")


class Interrupted(Exception):
    """Somebody ended a run; what is known until then stands."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of several. `name`: of its folder."""

    name: str
    kept: dict[str, Any]
    frames: list[Frame]

    @property
    def books_are_wrong(self) -> bool:
        books = self.kept["books"]
        return bool(books.get("audited")) and not books.get("clean")


@dataclass(slots=True)
class Runs:
    """`command`: what was typed, for the records. `root`: where this host's certificate is; `ledger`: the folder whose
    ledger gets a line for each run."""

    folder: Path
    command: str
    root: Path
    ledger: Path
    made: int = 0

    def one(self, plan: Plan, name: str, *, audit: Audit | None = None) -> Ran:
        """Raises `Interrupted`, and what `runs.execute` raises."""
        self.made += 1
        run_dir = self.folder / f"{self.made:03d}-{name}"
        around = runs.Surroundings(
            root=self.root,
            run_dir=run_dir,
            ledger=self.ledger,
            command=lambda run_dir: self.command,
            audit=audit,
            report=False,
        )
        kept, _ = runs.execute(plan, around=around)
        if by := ended_by_hand(kept):
            raise Interrupted(f"{name} was ended by {by}")
        ended_by = kept["results"]["ended_by"] if kept["results"] else "nothing was measured"
        # As it was driven: of a replay, the plan says only then who arrives.
        frames = runs.complete(Plan.from_json(kept["plan"]), framefile.read(run_dir), why=ended_by)
        return Ran(run_dir.name, kept, frames)

    def keep(self, name: str, content: dict[str, Any]) -> None:
        """Whole or not at all."""
        draft = self.folder / f"{name}.draft"
        draft.write_text(json.dumps({"format": 1, "command": self.command, **content}, indent=1, allow_nan=False))
        draft.rename(self.folder / name)


def ended_by_hand(kept: dict[str, Any]) -> str | None:
    """What somebody ended the run by. One that was ended before anybody arrived has no results, only the event."""
    if kept["results"] is not None:
        return next((by for by in INTERRUPTED if kept["results"]["ended_by"] == by), None)
    said = [str(event["text"]) for event in kept["events"]]
    return next((by for by in INTERRUPTED for text in said if text.startswith(f"{by}:")), None)


def begin(*, chosen: Path | None, root: Path, what: str, command: str) -> Runs:
    """A new folder for several runs. Raises `RunDirUnusable`."""
    folder = chosen or root / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{what}-{record.new_run_id()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise record.RunDirUnusable(f"{folder} is not empty: a run never writes over another")
        (folder / "begun").write_text(f"{time.time()}\n")
    except OSError as error:
        raise record.RunDirUnusable(f"{folder} cannot be written: {error.strerror or error}") from error
    return Runs(folder, command, root=root, ledger=folder.resolve().parent)


def demand_repeatable(plan: Plan) -> None:
    """Many runs of a plan need many of what it uses up. Raises `PlanMistake`."""
    if "purchase" in plan.mix:
        raise PlanMistake("mix", "has purchase, which uses up an invitation a visitor: it cannot be run many times")

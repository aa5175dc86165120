"""The audit: every invariant of every application, checked against the books.

An application states its invariants in its `invariants` module as a list `INVARIANTS`. Each one yields a `Breach` for
whatever contradicts it and returns how many things it looked at: an invariant that looked at nothing says so.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from config import transactions

AUDITED = ("ico.invariants", "shop.invariants")
BREACHES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the books are held against besides themselves. `acknowledged`: the signups that a load run was told are
    taken, one dict each with `email` and `ticket`."""

    now: datetime
    acknowledged: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one invariant found: how much was looked at, and what contradicts it, in words."""

    checked: int
    breaches: tuple[str, ...]


Check = Callable[[Evidence], Finding]


@dataclass(frozen=True, slots=True)
class Invariant:
    name: str
    description: str
    check: Check


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    description: str
    holds: bool
    checked: int
    breaches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    as_of: datetime
    results: tuple[Result, ...]

    @property
    def clean(self) -> bool:
        return all(result.holds for result in self.results)

    def as_json(self) -> str:
        invariants = [asdict(result) for result in self.results]
        return json.dumps({"clean": self.clean, "as_of": self.as_of.isoformat(), "invariants": invariants}, indent=2)


class BadEvidence(Exception):
    """A file of acknowledged signups cannot be read; the message names the line."""


def invariants() -> Iterator[Invariant]:
    for module in AUDITED:
        yield from import_module(module).INVARIANTS


def run(evidence: Evidence) -> Audit:
    """Check every invariant, all against the books of one moment: work may go on meanwhile."""
    with transactions.one_moment():
        return Audit(as_of=evidence.now, results=tuple(_result(invariant, evidence) for invariant in invariants()))


def acknowledged(paths: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """The signups that the load runs of these files were told are taken. Raises `BadEvidence`."""
    return tuple(entry for path in paths for entry in _entries(path))


def finding(checked: int, breaches: Iterable[str]) -> Finding:
    """A finding with the first breaches in full and the others counted."""
    found = list(breaches)
    shown = found[:BREACHES_SHOWN]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return Finding(checked, tuple(shown))


def _result(invariant: Invariant, evidence: Evidence) -> Result:
    found = invariant.check(evidence)
    return Result(invariant.name, invariant.description, not found.breaches, found.checked, found.breaches)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BadEvidence(f"{path}: {error.strerror}") from None
    for place, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if not isinstance(entry["email"], str) or not isinstance(entry["ticket"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise BadEvidence(f'{path}, line {place}: expected {{"email": ..., "ticket": ...}}') from None
        yield entry

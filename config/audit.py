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
    taken, one dict each with `email` and `ticket`. `deposit_addresses`: where its visitors were told to pay,
    `mark` (SHA-256 of the invitation's token) and `addresses` by chain. `orders`: what was confirmed to its customers,
    `number`, `email` and `total_cents`."""

    now: datetime
    acknowledged: tuple[dict[str, Any], ...] = ()
    deposit_addresses: tuple[dict[str, Any], ...] = ()
    orders: tuple[dict[str, Any], ...] = ()


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
    """A file of what a load run was told cannot be read; the message names the line."""


def invariants() -> Iterator[Invariant]:
    for module in AUDITED:
        yield from import_module(module).INVARIANTS


def run(evidence: Evidence) -> Audit:
    """Check every invariant, all against the books of one moment: work may go on meanwhile."""
    with transactions.one_moment():
        return Audit(as_of=evidence.now, results=tuple(_result(invariant, evidence) for invariant in invariants()))


def acknowledged(paths: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """The signups that the load runs of these files were told are taken. Raises `BadEvidence`."""
    return tuple(entry for path in paths for entry in _entries(path, _SIGNUP))


def told(paths: Iterable[Path]) -> dict[str, tuple[dict[str, Any], ...]]:
    """What else visitors were told, by kind, named as in `Evidence`. Raises `BadEvidence`."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for entry in _entries(path, *_TOLD):
            by_kind.setdefault(_TOLD_AS[entry["kind"]], []).append(entry)
    return {kind: tuple(entries) for kind, entries in by_kind.items()}


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


Shape = dict[str, type | str]  # the type of each member, or the very word that it must be
_SIGNUP: Shape = {"email": str, "ticket": str}
_TOLD: tuple[Shape, ...] = (
    {"kind": "deposit_addresses", "mark": str, "addresses": dict},
    {"kind": "order", "number": str, "email": str, "total_cents": int},
)
_TOLD_AS = {"deposit_addresses": "deposit_addresses", "order": "orders"}


def _entries(path: Path, *shapes: Shape) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BadEvidence(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadEvidence(f"{path}: this is no text") from None
    for place, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not any(_has(entry, shape) for shape in shapes):
            raise BadEvidence(f"{path}, line {place}: expected {' or '.join(_spelled(shape) for shape in shapes)}")
        yield entry


def _has(entry: dict[str, Any], shape: Shape) -> bool:
    return all(
        entry.get(name) == wanted if isinstance(wanted, str) else isinstance(entry.get(name), wanted)
        for name, wanted in shape.items()
    )


def _spelled(shape: Shape) -> str:
    parts = (f'"{name}": ' + (f'"{wanted}"' if isinstance(wanted, str) else "...") for name, wanted in shape.items())
    return "{" + ", ".join(parts) + "}"

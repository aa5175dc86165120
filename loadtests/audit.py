"""Asks the application's own audit about its books. The laboratory does not know the books; it knows whom it was
promised a place for, and hands that over."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 300


def run(*, manage: Path, acknowledged: Path, evidence: Path | None = None) -> dict[str, Any]:
    """{"audited": True, "clean": bool, "as_of": str, "invariants": [...]}, or {"audited": False, "why": str}."""
    command = [sys.executable, str(manage), "audit", "--json", "--acknowledged", str(acknowledged)]
    if evidence is not None and evidence.exists():  # made by the first visitor who is told something
        command += ["--evidence", str(evidence)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return skipped(f"the audit did not answer: {error}")
    try:
        return understood(json.loads(done.stdout), exit_code=done.returncode)
    except (ValueError, KeyError, TypeError) as error:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return skipped(f"the audit ended with {done.returncode} and no result ({last[:200]}; {type(error).__name__})")


def understood(said: Any, *, exit_code: int) -> dict[str, Any]:
    """What the audit printed, if it is what an audit prints. Raises `ValueError`, `KeyError` or `TypeError`."""
    invariants = [
        {
            "name": str(invariant["name"]),
            "holds": bool(invariant["holds"]),
            "checked": int(invariant["checked"]),
            "breaches": list(invariant["breaches"])[:20],
            "description": str(invariant.get("description", "")),
        }
        for invariant in said["invariants"]
    ]
    if not invariants:
        raise ValueError("an audit of nothing")
    # Its exit code, its word and its parts must all agree before the books count as clean.
    clean = said["clean"] is True and exit_code == 0 and all(invariant["holds"] for invariant in invariants)
    return {"audited": True, "clean": clean, "as_of": str(said["as_of"]), "invariants": invariants}


def skipped(why: str) -> dict[str, Any]:
    return {"audited": False, "why": why}

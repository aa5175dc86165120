"""What this host's generator was calibrated to, kept in the folder of the runs. It is worth something for the same host
and the same generator: another processor, another Python or a change to the engine make it void."""

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from loadtests import surroundings

FILE = "generator-certificate.json"
FORMAT = 1
_ROOM = Path(__file__).resolve().parent.parent
# What drives a visitor and takes the time.
_ENGINE: tuple[str, ...] = ("sessions.py", "frames.py", "histogram.py", "running/driving.py")
_ENGINE += tuple(f"browsing/{name}.py" for name in ("wires", "wire", "reading", "tls", "visits"))


def bearer() -> dict[str, Any]:
    """Whom a certificate is for: the host without its name, and the generator."""
    return {
        "processor": surroundings.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "engine": _engine(),
    }


def write(folder: Path, *, rate: float, sessions: int, processes: int, at: str, rungs: list[dict[str, Any]]) -> Path:
    """`rate` (requests/s) and `sessions`: the highest that held, of one generator process while `processes` of them
    were driving."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"rate": rate, "sessions": sessions, "processes": processes, "at": at, "rungs": rungs}
    draft = folder / f"{FILE}.draft"
    draft.write_text(json.dumps({"format": FORMAT, "bearer": bearer(), **kept}, indent=1))
    return draft.rename(folder / FILE)


def read(folder: Path) -> dict[str, Any] | None:
    """The certificate for this host and generator, or None: there is none, or it is another's."""
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("bearer") != bearer():
        return None
    return {name: value for name, value in found.items() if name != "rungs"}  # how it came about is in the file


def revoke(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


def _engine() -> str:
    whole = hashlib.sha256()
    for name in _ENGINE:
        whole.update((_ROOM / name).read_bytes())
    return whole.hexdigest()[:16]

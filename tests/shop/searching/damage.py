"""Index files that are no longer what the engine wrote."""

from __future__ import annotations

from pathlib import Path

# The engine writes `.pos` too, and no field of ours knows positions.
KINDS = ("idx", "term", "store", "fast", "fieldnorm")


def zero(folder: Path, kind: str) -> Path:
    """The first half of the largest file of this kind, in place: who has it open sees it too."""
    file = max(folder.glob(f"*.{kind}"), key=lambda one: one.stat().st_size)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.write(bytes(size // 2))
    return file


def cut(folder: Path, kind: str) -> Path:
    """Half of it, as a new file: who has the old one mapped would be ended by the kernel."""
    file = max(folder.glob(f"*.{kind}"), key=lambda one: one.stat().st_size)
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[: len(data) // 2])
    return file

"""`frames.jsonl`: what the generators saw, a line a second and process, written as it comes; with the evidence of
workers on other machines. The record is made from these lines, also when the conductor dies.

A reserve is kept on the disk from the beginning: when the disk fills, it is given up, so that the frames of those who
then leave, and the record, have room.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from loadtests.frames import Frame

NAME = "frames.jsonl"
RESERVE = "reserve"
RESERVE_BYTES = 8 << 20
# What a worker elsewhere may write here: the files in which visitors' evidence is kept, and no other.
EVIDENCE = ("acknowledged.jsonl", "evidence.jsonl", "sightings.jsonl", "spent-invitations.jsonl")


class FrameFile:
    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._frames = (run_dir / NAME).open("ab", buffering=0)
        self.full = ""  # why nothing could be written any more

    def append(self, frame: dict[str, Any], evidence: Iterable[tuple[str, dict[str, Any]]]) -> None:
        self._write(json.dumps(frame).encode() + b"\n")
        for name, line in evidence:
            if name in EVIDENCE:
                with (self._run_dir / name).open("ab", buffering=0) as file:
                    file.write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        self._frames.close()
        (self._run_dir / RESERVE).unlink(missing_ok=True)

    def _write(self, line: bytes) -> None:
        try:
            written = self._frames.write(line)
        except OSError as error:
            if self.full:
                raise
            self.full = f"the record could not be written: {error.strerror}"
            (self._run_dir / RESERVE).unlink(missing_ok=True)
            written = 0
        if written is not None and written < len(line):
            self._write(line[written:])


def read(run_dir: Path) -> list[Frame]:
    """All frames of a run, in the order in which they came."""
    return list(_read(run_dir / NAME))


def _read(path: Path) -> Iterator[Frame]:
    """A last line that a dying conductor did not finish is none."""
    if not path.exists():
        return
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Frame.from_json(json.loads(line))

"""`frames.jsonl`: what the generators saw, a line a second and process, written as it comes; with the evidence of
workers on other machines. The record is made from these lines, also when the conductor dies.

A reserve is kept on the disk from the beginning: when the disk fills, it is given up, so that the frames of those who
then leave, and the record, have room.
"""

from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any

from loadtests import jsonlines
from loadtests.frames import Frame

NAME = "frames.jsonl"
RESERVE = "reserve"
RESERVE_BYTES = 8 << 20
# What a worker elsewhere may write here: the files in which visitors' evidence is kept, and no other.
EVIDENCE = ("acknowledged.jsonl", "evidence.jsonl", "sightings.jsonl", "spent-invitations.jsonl")


class FrameFile:
    """`full`: why something could not be written, "" as long as everything was; `lost`: how many lines never were."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._frames = (run_dir / NAME).open("ab", buffering=0)
        self.full = ""
        self.lost = 0

    def append(self, frame: dict[str, Any], evidence: Iterable[tuple[str, dict[str, Any]]]) -> None:
        self._keep(self._frames, frame)
        for name, line in evidence:
            if name in EVIDENCE:
                with (self._run_dir / name).open("ab", buffering=0) as file:
                    self._keep(file, line)

    def close(self) -> None:
        self._frames.close()
        self._give_up_reserve()

    def _keep(self, file: FileIO, content: dict[str, Any]) -> None:
        try:
            jsonlines.append(file, content)
        except OSError as error:
            self.full = self.full or f"the record cannot be written: {error.strerror}"
            self._give_up_reserve()
            try:
                jsonlines.append(file, content)
            except OSError:
                self.lost += 1

    def _give_up_reserve(self) -> None:
        (self._run_dir / RESERVE).unlink(missing_ok=True)


def read(run_dir: Path) -> list[Frame]:
    """All frames of a run, in the order in which they came. A line that a dying conductor did not finish is none."""
    return [Frame.from_json(line) for line in jsonlines.read(run_dir / NAME)]

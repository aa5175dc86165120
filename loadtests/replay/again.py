"""Visits of a log without a plan, for plain Locust: nobody knows there how many will come, so that after the last visit
the first is made again."""

import secrets
import tempfile
from pathlib import Path

from loadtests.replay import filling, preparing, reading
from loadtests.replay.gathering import Visit
from loadtests.replay.store import CHOSEN, Chosen


class NothingThere(Exception):
    """The log or the folder holds no visits; the message says why."""


class Endless:
    """All visits of a log, or those that were left in a folder (a replay's run directory, or `loadtest log … --keep`).
    Each process begins at a visit of its own. Raises `NothingThere`."""

    def __init__(self, source: Path) -> None:
        try:
            self._chosen = Chosen(source / CHOSEN) if source.is_dir() else _all_of(source)
        except (OSError, ValueError, reading.NoLog, preparing.NothingToReplay, filling.NoSample) as error:
            raise NothingThere(str(error)) from error
        self._numbers = [number for number in range(len(self._chosen)) if self._chosen.line(number)]
        self._first = secrets.randbelow(len(self._numbers))

    def visit(self, index: int) -> Visit:
        return self._chosen.visit(self._numbers[(self._first + index) % len(self._numbers)])


def _all_of(log: Path) -> Chosen:
    with tempfile.TemporaryDirectory() as folder:
        wanted = preparing.Wanted(logs=(log,), weights={})
        preparing.prepare(wanted=wanted, arrivals=None, seed=1, run_dir=Path(folder))
        return Chosen(Path(folder) / CHOSEN)  # stays open when the folder is gone

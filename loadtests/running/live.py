"""Runs that are going on, told by a file in each run's folder: `live.json`, written anew each second. No server, no
port: whoever may read the folder may watch, and whoever may signal the process may stop it."""

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

NAME = "live.json"


class NotRunning(Exception):
    """There is no such run, or it is over; the message says which."""


@dataclass(frozen=True, slots=True)
class Live:
    """A run as its folder tells it. `alive`: the process that wrote this is still the one that it was."""

    run_dir: Path
    run_id: str
    title: str
    pid: int
    since: float
    progress: dict[str, Any]
    alive: bool


class Telling:
    """Writes the file, and takes it away when the run is over."""

    def __init__(self, *, run_dir: Path, run_id: str, title: str) -> None:
        self._file = run_dir / NAME
        this = psutil.Process()
        whose = {"pid": this.pid, "born": this.create_time(), "since": time.time()}
        self._fixed = {"run_id": run_id, "title": title, **whose}
        self.tell({})

    def tell(self, progress: dict[str, Any]) -> None:
        """A disk that is full is the record's trouble, not the onlookers'."""
        draft = self._file.with_suffix(".draft")
        try:
            draft.write_text(json.dumps({**self._fixed, "progress": progress}))
            draft.rename(self._file)
        except OSError:
            draft.unlink(missing_ok=True)

    def end(self) -> None:
        self._file.unlink(missing_ok=True)


def read(run_dir: Path) -> Live | None:
    """None where no run is or was going on."""
    try:
        told = json.loads((run_dir / NAME).read_text())
        born, pid = float(told["born"]), int(told["pid"])
        known = {name: str(told[name]) for name in ("run_id", "title")}
        return Live(run_dir, **known, pid=pid, since=told["since"], progress=told["progress"], alive=_is(pid, born))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def below(folders: Iterable[Path]) -> Iterator[Live]:
    for folder in folders:
        for file in sorted(folder.glob(f"*/{NAME}")):
            if found := read(file.parent):
                yield found


def find(which: str, folders: Iterable[Path]) -> Live:
    """By the run's id, the name of its folder, or its path. Raises `NotRunning`."""
    found = [run for run in below(folders) if which in (run.run_id, run.run_dir.name)]
    if not found and (here := read(Path(which))):
        found = [here]
    if not found:
        raise NotRunning(f"no run {which} is going on (manage.py loadtest list)")
    return found[0]


def stop(run: Live, *, at_once: bool) -> None:
    """As Ctrl-C does it: nobody else arrives, those present finish; at once: they leave. Raises `NotRunning`."""
    if not run.alive:
        raise NotRunning(f"run {run.run_id} is over: its process {run.pid} is gone")
    os.kill(run.pid, signal.SIGTERM if at_once else signal.SIGINT)


def _is(pid: int, born: float) -> bool:
    """Numbers of processes are given again; a moment of birth with them is not."""
    try:
        return bool(abs(psutil.Process(pid).create_time() - born) < 0.02)
    except psutil.Error:
        return False

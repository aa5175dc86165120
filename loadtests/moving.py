"""Data that moves while a run lasts: a process of the application changes the shop (`manage.py move_shop`), and what it
says it changed lies in `moved.jsonl` of the run, for `staleness` to compare with what visitors saw. Whether it did so
as often and as long as it was to lies in `moving.json`, for the verdict."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loadtests import jsonlines
from loadtests.beside import Running
from loadtests.target import TargetRefused

FILE, TOLD = "moved.jsonl", "moving.json"
ROOT = Path(__file__).resolve().parent.parent
FAILED = "failed"  # the kind of a change that was not made
_READY_SECONDS, _END_SECONDS = 60.0, 30.0


class Moving:
    """A Beside. `rate`: changes a second. The target has to be on this machine, and to read the database that the
    settings here name: whether it does is seen in the staleness, which then has sightings of what was changed."""

    def __init__(self, *, rate: float, seed: int, command: Sequence[str] | None = None) -> None:
        base = command or (sys.executable, str(ROOT / "manage.py"), "move_shop")
        self._rate = rate
        self._command = [*base, "--rate", f"{rate:g}", "--seed", str(seed), "--while-input"]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._running: Running | None = None
        self._first = threading.Event()
        self._began = 0.0
        self._changed = self._failed = self._unwritten = 0
        self._why_failed = ""
        self._stopping = self._ended = False

    def start(self, running: Running) -> None:
        """Returns once the first change was made. Raises `TargetRefused`."""
        if not running.target.is_here:
            raise TargetRefused(
                f"{running.target.url} is another machine: the shop's data can be moved from there only"
            )
        self._running = running
        with (running.run_dir / "moving.log").open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                [*self._command, "--seconds", f"{min(86_400.0, running.plan.hard_stop_seconds + 600):.0f}"],
                cwd=ROOT,
                env={**os.environ, "STAMPEDE_LOAD_TARGET": running.plan.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C is the run's, which ends this one in its turn
            )
        self._reader = threading.Thread(target=self._read, name="moving", daemon=True)
        self._reader.start()
        self._first.wait(_READY_SECONDS)
        if not self._changed:
            self.stop()
            said = (running.run_dir / "moving.log").read_text().strip().splitlines()[-1:]
            why = said[0] if said else self._why_failed or "nothing was changed"
            raise TargetRefused(f"the shop's data does not move: {why}")
        running.event(f"the shop's data moves, {self._rate:g} changes a second")

    def stop(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        alive = self._process.poll() is None and not self._ended
        self._stopping = True
        self._tell(alive)
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        """Each line as it comes; the end of them is the end of the process."""
        process, running = self._process, self._running
        if process is None or process.stdout is None or running is None:
            return
        with (running.run_dir / FILE).open("w", buffering=1) as file:
            for line in process.stdout:
                if line.startswith("{"):
                    self._keep(file.write, line, running)
                    self._count(json.loads(line))
        self._ended = True
        self._first.set()
        if not self._stopping and self._changed:
            running.event("the shop's data moves no longer: manage.py move_shop has ended (moving.log)")

    def _count(self, said: dict[str, Any]) -> None:
        """What failed has moved nothing."""
        if said["kind"] == FAILED:
            self._failed += 1
            self._why_failed = str(said.get("why", ""))
            return
        self._began = self._began or time.monotonic()
        self._changed += 1
        self._first.set()

    def _keep(self, write: Callable[[str], object], line: str, running: Running) -> None:
        try:
            write(line)
        except OSError as error:  # a full disk: what goes on is told, what is written is not whole
            self._unwritten += 1
            running.event(f"{FILE} cannot be written: {error.strerror}")

    def _tell(self, alive: bool) -> None:
        """At the end of the run: `alive`, or it had ended before. A change that was not written down could make a true
        price look like one that never was."""
        told = {
            "rate": self._rate,
            "seconds": time.monotonic() - self._began if self._began else 0.0,
            "changed": self._changed,
            "failed": self._failed,
            "why_failed": self._why_failed,
            "unwritten": self._unwritten,
            "alive": alive,
        }
        if self._running is not None:
            with suppress(OSError):  # then nothing says that the data moved, and that is what the verdict finds
                (self._running.run_dir / TOLD).write_text(json.dumps(told) + "\n")


def read(run_dir: Path) -> list[dict[str, object]]:
    """What was changed in a run; nothing where nothing moved."""
    return list(jsonlines.read(run_dir / FILE))


def told(run_dir: Path) -> dict[str, Any] | None:
    """How often and how long it was changed: {rate, seconds, changed, failed, why_failed, unwritten, alive}; None where
    nobody wrote it down."""
    try:
        return dict(json.loads((run_dir / TOLD).read_text()))
    except (OSError, ValueError):
        return None

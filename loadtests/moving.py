"""Data that moves while a run lasts: a process of the application changes the shop (`manage.py move_shop`), and what it
says it changed lies in `moved.jsonl` of the run, for `staleness` to compare with what visitors saw."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.beside import Running
from loadtests.target import TargetRefused

FILE = "moved.jsonl"
ROOT = Path(__file__).resolve().parent.parent
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
        self._lines = 0
        self._stopping = False

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
        if not self._lines:
            self.stop()
            said = (running.run_dir / "moving.log").read_text().strip().splitlines()[-1:]
            raise TargetRefused(f"the shop's data does not move: {said[0] if said else 'nothing was changed'}")
        running.event(f"the shop's data moves, {self._rate:g} changes a second")

    def stop(self) -> None:
        self._stopping = True
        if self._process is None or self._process.stdin is None:
            return
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
                if not line.startswith("{"):
                    continue
                self._keep(file.write, line, running)
                self._lines += 1
                self._first.set()
        self._first.set()
        if not self._stopping and self._lines:
            running.event("the shop's data moves no longer: manage.py move_shop has ended (moving.log)")

    def _keep(self, write: Callable[[str], object], line: str, running: Running) -> None:
        try:
            write(line)
        except OSError as error:  # a full disk: what goes on is told, what is written is not whole
            running.event(f"{FILE} cannot be written: {error.strerror}")


def read(run_dir: Path) -> list[dict[str, object]]:
    """What was changed in a run; nothing where nothing moved."""
    path = run_dir / FILE
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

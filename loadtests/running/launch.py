"""Starts the conductor, tells it what to do, follows what it says, and passes Ctrl-C on to it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from loadtests.plans import Plan
from loadtests.running.progress import Shown

# The conductor bounds itself (Plan.hard_stop_seconds); this is for one that does not end any more.
OVERTIME_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be conducted. `address`: the one of the target that has said that it may be driven. `links`: in the
    order of the visitors who need one. `remote`: how many workers of other
    machines are waited for, at `bind`:`port` (0: any); `key` is what they prove to have."""

    plan: Plan
    run_dir: Path
    run_id: str
    key: bytes
    mark: str
    address: str
    links: Sequence[str] = ()
    local: int = 1
    remote: int = 0
    bind: str = "127.0.0.1"
    port: int = 0

    def as_json(self) -> dict[str, Any]:
        plain = ("run_id", "mark", "address", "local", "remote", "bind", "port")
        return {
            **{name: getattr(self, name) for name in plain},
            "plan": self.plan.as_json(),
            "run_dir": str(self.run_dir),
            "key": self.key.hex(),
            "links": list(self.links),
        }


@dataclass(slots=True)
class Conducted:
    """How a run went, as far as the conductor said so. `began`: of time.time(), None when nobody ever arrived."""

    ended_by: str
    began: float | None = None
    seconds: float = 0.0
    workers: list[dict[str, Any]] = field(default_factory=list)


class Conductor:
    """The process. `stop` and `leave` may be called from any thread."""

    def __init__(self, order: Order) -> None:
        # A session of its own, so that a terminal's Ctrl-C reaches it once, through us.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.running.conductor"],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._tell(order.as_json())  # by pipe: links and keys are secrets, arguments are public

    def begin(self, moment: float) -> None:
        self._tell({"begin": moment})

    def stop(self, why: str) -> None:
        """No more arrivals, those present finish."""
        self._tell({"stop": why, "at_once": False})

    def leave(self, why: str) -> None:
        """Everybody leaves."""
        self._tell({"stop": why, "at_once": True})

    def says(self) -> Iterator[dict[str, Any]]:
        for line in self.process.stdout or ():
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                sys.stderr.write(line)
                continue
            yield said

    def kill(self) -> None:
        """It has not ended when it had to; its workers leave when it is gone."""
        self.process.kill()

    def end(self) -> int:
        """Its exit code; negative: the signal that ended it."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=OVERTIME_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait()

    def _tell(self, content: dict[str, Any]) -> None:
        """A conductor that has died is no error here: what it did not say any more tells so."""
        with self._lock, suppress(OSError, ValueError):
            if self.process.stdin is not None:
                self.process.stdin.write(json.dumps(content) + "\n")
                self.process.stdin.flush()


Begin = Callable[[Conductor], float]


def drive(
    *,
    order: Order,
    show: Shown,
    ready: Begin = lambda conductor: time.time() + 0.1,
    event: Callable[[str], None] = lambda text: None,
    listening: Callable[[int], None] = lambda port: None,
) -> Conducted:
    """Run the plan to its end, in processes of their own; frames are in the run directory afterwards. `ready` is called
    when all workers are, and says the moment (of time.time()) of the run's second 0; what it raises ends the run."""
    conducted = Conducted(ended_by="the conductor died")
    conductor = Conductor(order)
    overdue: threading.Timer | None = None
    with _interrupts_to(conductor.process):
        try:
            for said in conductor.says():
                match said["kind"]:
                    case "listening":
                        listening(int(said["port"]))
                    case "ready":
                        conducted.began = ready(conductor)
                        conductor.begin(conducted.began)
                        overdue = threading.Timer(order.plan.hard_stop_seconds + OVERTIME_SECONDS, conductor.kill)
                        overdue.daemon = True
                        overdue.start()
                    case "progress":
                        conducted.seconds = float(said["progress"]["elapsed"])
                        show(said["progress"])
                    case "event":
                        event(str(said["text"]))
                    case "over":
                        conducted.ended_by, conducted.workers = str(said["ended_by"]), said["workers"]
                        conducted.seconds = max(0.0, float(said["seconds"]))
        finally:
            if overdue is not None:
                overdue.cancel()
            code = conductor.end()
    if code:
        conducted.ended_by = f"the conductor died ({f'signal {-code}' if code < 0 else f'exit {code}'})"
    return conducted


@contextmanager
def _interrupts_to(process: "subprocess.Popen[str]") -> Iterator[None]:
    def forward(number: int, frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

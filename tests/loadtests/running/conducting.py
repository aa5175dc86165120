"""A run by the real processes, with something done to them on the way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from loadtests import plans, record, runs, stats
from loadtests.frames import Frame
from loadtests.running import framefile, launch
from tests.deadline import until

KEY = b"the key of the tests"


def plan_at(url: str, **changes: Any) -> plans.Plan:
    """A thousand people over nearly a minute, who stay half a second: long enough for anything to happen meanwhile."""
    given = {"users": 1000, "rate": 20.0, "duration": None, "arrivals": "constant", "time_scale": 0.002, "seed": 1}
    return plans.make(scenario="signup", host=url, **{**given, **changes})


@dataclass
class Run:
    """`meanwhile`: called once somebody's arrival was told of, from the thread that follows the run."""

    plan: plans.Plan
    run_dir: Path
    meanwhile: Callable[["Run"], None] = lambda run: None
    afterwards: Callable[["Run"], None] = lambda run: None
    local: int = 1
    remote: int = 0
    key: bytes = KEY
    mark: str = ""
    address: str = "127.0.0.1"
    events: list[str] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    done_to: bool = False

    def go(self, listening: Callable[["Run"], None] = lambda run: None) -> dict[str, Any]:
        """What was measured, with `workers` beside it."""
        self.prepare()

        def heard(port: int) -> None:
            self.port = port
            listening(self)

        conducted = launch.drive(
            order=launch.Order(
                plan=self.plan,
                run_dir=self.run_dir,
                run_id="test",
                key=self.key,
                mark=self.mark or record.mark(self.run_dir),
                address=self.address,
                local=self.local,
                remote=self.remote,
            ),
            show=self._show,
            ready=self._ready,
            event=self.events.append,
            listening=heard,
        )
        self.afterwards(self)
        frames = self.frames(conducted.ended_by)
        measured = stats.measured(
            frames,
            plan=self.plan,
            started_at=conducted.began or 0.0,
            seconds=conducted.seconds,
            ended_by=conducted.ended_by,
        )
        return {**measured, "workers": conducted.workers}

    def prepare(self) -> None:
        if not self.run_dir.exists():
            record.prepare(
                chosen=self.run_dir, root=self.run_dir, scenario="signup", run_id="test", now=datetime.now(UTC)
            )

    def frames(self, why: str) -> list[Frame]:
        return runs.complete(self.plan, framefile.read(self.run_dir), why=why)

    def stop(self) -> None:
        self.conductor.stop("the test has seen enough")

    def workers(self) -> list[psutil.Process]:
        return list(psutil.Process(self.conductor.process.pid).children())

    def _ready(self, conductor: launch.Conductor) -> float:
        self.conductor = conductor
        return time.time() + 0.1

    def _show(self, progress: dict[str, Any]) -> None:
        self.progress.append(progress)
        if progress["arrived"] and not self.done_to:
            self.done_to = True
            self.meanwhile(self)


def hire(run: Run, *, token: str = "") -> "subprocess.Popen[bytes]":
    """A worker of another machine, as far as the conductor knows. It ends when its input does."""
    command = [sys.executable, "-m", "loadtests.running.worker", "127.0.0.1", str(run.port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"key": run.key.hex(), "token": token}).encode() + b"\n")
    process.stdin.flush()
    return process


def dismiss(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.kill()
    process.wait()


def accounted(who: dict[str, int]) -> bool:
    """Everybody planned is somewhere, and everybody who came went somehow."""
    ended = sum(who[how] for how in ("finished", "gave_up", "cut_off", "lost"))
    return who["planned"] == who["arrived"] + who["unmet"] and who["arrived"] == ended


def gone(processes: list[psutil.Process]) -> None:
    """Waits until none of these is there any more."""
    until(lambda: not any(_alive(process) for process in processes), "the workers of a dead conductor leave")


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, 9)

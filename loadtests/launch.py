"""Starts the generator process, shows its progress, and passes Ctrl-C on to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from loadtests.mailbox import Invitation
from loadtests.plans import Plan
from loadtests.progress import Shown

# The process bounds itself (Plan.hard_stop_seconds); this is for one that does not any more.
OVERTIME_SECONDS = 30.0


def drive(*, plan: Plan, run_dir: Path, run_id: str, links: list[Invitation], show: Shown) -> None:
    """Run the plan in a process of its own, to its end. It leaves `measured.json` in the run directory."""
    order = {
        "plan": plan.as_json(),
        "run_dir": str(run_dir),
        "run_id": run_id,
        "links": [invitation.link for invitation in links],  # by pipe: a link is a secret, arguments are public
    }
    root = Path(__file__).resolve().parent.parent
    # A session of its own, so that a terminal's Ctrl-C reaches it once, through us.
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.runner"],
        cwd=root,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with _interrupts_to(process):
        try:
            _tell(process, json.dumps(order))
            _follow(process, show)
            process.wait(timeout=OVERTIME_SECONDS)
        finally:
            _end(process)


def _tell(process: "subprocess.Popen[str]", order: str) -> None:
    """A generator that died at once is no error here: its missing record says so."""
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(order)


def _follow(process: "subprocess.Popen[str]", show: Shown) -> None:
    for line in process.stdout or ():
        try:
            progress: dict[str, Any] = json.loads(line)
        except ValueError:
            sys.stderr.write(line)
            continue
        show(progress)


@contextmanager
def _interrupts_to(process: "subprocess.Popen[str]") -> Iterator[None]:
    def forward(number: int, frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()

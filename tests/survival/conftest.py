"""The whole real stack, as `manage.py stack up` starts it, on ports and in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import environment, layout, mariadb, probing
from deploy.local.control import Supervisor, processes
from tests.deadline import until
from tests.process.crowd import ROOT, manage

PACE = {"STAMPEDE_MAIL_RETRY_SECONDS": "1"}  # so that a test need not wait for the third attempt for half a minute


@dataclass(frozen=True)
class Stack:
    layout: layout.Layout
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return environment.public_url(self.layout)

    @property
    def data(self) -> Path:
        return self.layout.data

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.layout)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return manage(self, *arguments)

    def pid(self, program: str) -> int:
        return self.supervisor.states()[program].pid

    def kill(self, program: str, told: signal.Signals = signal.SIGKILL) -> int:
        """Returns the id of the process that was told."""
        pid = self.pid(program)
        assert pid, f"{program} does not run"
        os.kill(pid, told)
        return pid

    def kill_for_good(self, program: str) -> None:
        """Until `start`. Were it killed first, supervisor would have another one there before it could be told not to,
        and that one would serve for as long as it takes to stop."""
        pid = self.pid(program)
        telling = threading.Thread(target=self.stop, args=[program])
        telling.start()
        until(lambda: self.supervisor.states()[program].name in ("STOPPING", "STOPPED"), f"{program} is to stop")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        telling.join()

    def stop(self, program: str) -> None:
        """Until `start`: supervisor leaves it alone meanwhile."""
        self.supervisor.stop(program)

    def start(self, program: str) -> None:
        self.supervisor.start([program])
        self.answers_again(program)

    def replaced(self, program: str, pid: int) -> None:
        until(lambda: self.pid(program) not in (0, pid), f"another {program}")
        self.answers_again(program)

    def answers_again(self, program: str) -> None:
        until(lambda: probing.trouble(self.layout, program) is None, f"{program} answers")

    def count(self, question: str) -> int:
        """The one figure that a query on the primary answers."""
        with mariadb.as_application(self.layout, "primary") as cursor:
            cursor.execute(f"USE {mariadb.DATABASE}")
            cursor.execute(question)
            return int(cursor.fetchone()[0])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("STAMPEDE_")}
    base = str(layout.free_base(folder))
    up = _stack("up", folder, {**outside, **PACE}, "--base-port", base)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield Stack(layout.load(folder), environment.whole(folder))
    finally:
        down = _stack("down", folder, outside)
        assert down.returncode == 0, down.stdout + down.stderr
        assert list(processes(layout.load(folder))) == [], "down left processes behind"


def _stack(verb: str, folder: Path, variables: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "stack", verb, "--folder", str(folder), *more]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=180, check=False)

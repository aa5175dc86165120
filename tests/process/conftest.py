"""The application as it really runs: web, worker, clock, follower and chain as processes, in a fresh data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from config.serving import free_port
from tests.deadline import until
from tests.process.crowd import ROOT, manage


@dataclass(frozen=True)
class Served:
    url: str
    port: int
    data: Path
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "STAMPEDE_DATA": str(self.data)}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return manage(self, *arguments)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those of the running processes whose command line has all these words, parents first."""
        ours = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in ours if alive(process) and set(words) <= set(_command(process))]

    def kill(self, *words: str, index: int = 0) -> int:
        """SIGKILL one process; returns its id."""
        victims = self.processes(*words)
        assert victims, f"no process {words} to kill: {[p.cmdline()[:6] for p in self.processes()]}"
        os.kill(victims[index].pid, signal.SIGKILL)
        return victims[index].pid


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False  # it ended between the two questions


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tmp_path = tmp_path_factory.mktemp("served")
    port = free_port()
    command = [sys.executable, "-u", "manage.py", "serve", "--port", str(port)]
    environment = {**os.environ, "STAMPEDE_DATA": str(tmp_path / "data")}
    log = (tmp_path / "serve.log").open("w+")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, text=True)
    running = Served(f"http://127.0.0.1:{port}", port, tmp_path / "data", process)
    try:
        said = tmp_path / "serve.log"
        until(lambda: "Ctrl-C stops it" in said.read_text() or process.poll(), "the start", seconds=300)
        assert process.poll() is None, (tmp_path / "serve.log").read_text()
        yield running
    finally:
        left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(60)
        log.close()
        assert [one for one in left if alive(one)] == [], "serve left processes behind"

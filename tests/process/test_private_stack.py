"""TEST_ON=stack: the servers of a test run end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.deadline import until
from tests.process.conftest import ROOT

pytestmark = pytest.mark.process

A_LONG_TEST = """
import time, pathlib
from django.conf import settings
from tests import private_stack
def test_long(db):
    assert settings.DATABASES["default"]["ENGINE"].endswith("mysql")
    assert settings.REDIS_URL and settings.BROKER == "sqs" and settings.MAIL_BY == "smtp"
    begun = pathlib.Path({begun!r})
    begun.with_suffix(".half").write_text(str(private_stack.folder()))
    begun.with_suffix(".half").rename(begun)
    time.sleep(120)  # until it is ended from outside
"""


def servers_of(folder: str) -> list[psutil.Process]:
    """The processes that have this stack's variables."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.environ().get("STAMPEDE_DATA", "").startswith(folder):
                found.append(process)
    return found


def session_of(run: subprocess.Popen[bytes]) -> set[int]:
    """The processes of a test run: itself, and pytest-xdist's workers."""
    found = set()
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == run.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A test run in the middle of a test, and the folder of its stack."""
    tmp_path.mkdir(exist_ok=True)
    begun = tmp_path / "begun"
    (tmp_path / "test_long.py").write_text(A_LONG_TEST.format(begun=str(begun)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-c", "pyproject.toml", str(tmp_path / "test_long.py")]
    environment = {**os.environ, "TEST_ON": "stack"}
    with open(tmp_path / "log", "wb") as log:
        run = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: begun.exists() or run.poll() is not None, "the test runs")
        assert begun.exists(), (tmp_path / "log").read_text()
        yield run, begun.read_text()
    finally:
        run.terminate()
        run.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_server_behind(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path) as (run, folder):
        assert len(servers_of(folder)) >= 4
        assert len(session_of(run)) >= 3
        # As a terminal does it: everybody in the foreground hears of Ctrl-C.
        os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)
        assert run.wait(60) != 0
        until(lambda: not session_of(run), "no worker stays", seconds=20)
    assert servers_of(folder) == []
    assert not Path(folder).exists()


def test_what_a_killed_run_left_is_stopped_by_the_next(tmp_path: Path) -> None:
    with running(tmp_path / "killed") as (run, orphan):
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(60)
    assert len(servers_of(orphan)) >= 4
    with running(tmp_path / "next") as (_, folder):
        assert servers_of(orphan) == []
        assert not Path(orphan).exists()
    assert servers_of(folder) == []

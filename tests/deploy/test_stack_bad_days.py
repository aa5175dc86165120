"""A stack that cannot start, that is interrupted, that is killed: what it says, and that nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from config.supervising import BASE
from deploy.local import layout
from deploy.local.control import Supervisor, processes
from tests.deadline import until
from tests.deploy.driving import command, nothing_runs, stack, up

pytestmark = pytest.mark.process


def test_a_half_started_stack_is_cleaned_up_and_says_why(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "redis-server").write_text("#!/bin/sh\necho 'not today'\nexit 3\n")
    (broken / "redis-server").chmod(0o755)
    only = ("--only", "primary,redis", "--relaxed")
    failed = up(folder, *only, PATH=f"{broken}:{os.environ['PATH']}")
    assert failed.returncode == 1
    assert "redis does not start" in failed.stderr
    assert "    not today" in failed.stderr
    assert nothing_runs(folder)
    shutil.rmtree(broken)
    assert up(folder, *only).returncode == 0  # what it left can be gone on with


def test_a_port_that_is_taken_after_it_was_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from config import serving
    from deploy.local import stack as starting

    wanted = layout.asked(folder, only="redis", base_port=0, relaxed=True)
    monkeypatch.setattr(starting, "taken_ports", lambda place: [])
    monkeypatch.setattr(serving, "go_on_to_the_end", lambda: None)  # this process goes on with other tests
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", wanted.port("redis")))
        somebody.listen()
        with pytest.raises(layout.CannotStart, match=r"(?s)redis does not start.*Address already in use"):
            starting.up(wanted, print)
    assert nothing_runs(folder)


def test_interrupted_while_starting(folder: Path) -> None:
    start = command("up", "--folder", str(folder), "--base-port", "0", "--only", "mariadb")
    process = subprocess.Popen(start, cwd=BASE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        assert next(said).startswith("Starting primary")
        process.send_signal(signal.SIGINT)
        rest = said.read()
    assert process.wait(60) == 1
    assert "Stopping what was started" in rest
    assert "Interrupted" in rest
    assert nothing_runs(folder)


@pytest.mark.parametrize("then", ["down", "up"])
def test_what_a_killed_supervisor_left_is_ended(folder: Path, then: str) -> None:
    only = ("--only", "primary,redis", "--relaxed")
    assert up(folder, *only).returncode == 0
    place = layout.load(folder)
    left = set(processes(place))
    os.kill(int((folder / "session").read_text()), signal.SIGKILL)
    until(lambda: not Supervisor(place).answers(), "supervisor is gone")
    assert set(processes(place)) < left, "its programs go on without it"
    status = stack("status", "--folder", str(folder))
    assert (status.returncode, "no supervisor" in status.stdout) == (1, True)
    again = stack(then, "--folder", str(folder), *(only if then == "up" else ()))
    assert again.returncode == 0, again.stdout + again.stderr
    if then == "up":
        assert "Ended what was left of an earlier start" in again.stdout
        assert stack("down", "--folder", str(folder)).returncode == 0
    assert nothing_runs(folder)

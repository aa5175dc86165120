"""Without its server a test is skipped on somebody's machine, and fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ONE_TEST = "tests/contracts/test_queue.py::test_the_settings_fit_the_work"


@pytest.mark.process
@pytest.mark.parametrize(("ci", "status", "said"), [({}, 0, "1 skipped"), ({"CI": "1"}, 1, "in CI nothing may be")])
def test_a_server_that_is_not_installed(ci: dict[str, str], status: int, said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", ONE_TEST]
    nothing_here = {**environment, **ci, "PATH": str(Path(sys.executable).parent)}
    run = subprocess.run(command, cwd=ROOT, env=nothing_here, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stdout + run.stderr
    assert said in run.stdout
    assert "node is not installed" in run.stdout


def test_ci_says_that_it_is_ci() -> None:
    assert "export CI=1\n" in (ROOT / ".ci" / "run").read_text()

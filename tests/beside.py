"""A program that runs beside a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def beside(*command: str, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """A `manage.py` command, for as long as the block lasts. One that ended before the block did fails the test, with
    what it said; else it is told to stop, and must within 30 s."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        try:
            yield
            assert process.poll() is None, f"{command[0]} ended: {log.read_text(errors='replace')}"
        finally:
            process.terminate()
            process.wait(30)

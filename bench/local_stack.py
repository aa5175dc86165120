"""Servers of the real stack for a measurement: in a folder and on ports of their own, stopped at the end."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.side_by_side import ROOT


@contextmanager
def servers(folder: Path, *only: str) -> Iterator[dict[str, str]]:
    """The named programs (all of them if none is named), durable as they would be on a server. Yields the environment
    that makes the application use them."""
    named = ["--only", ",".join(only)] if only else []
    _stack("up", "--folder", str(folder), "--base-port", "0", *named)
    try:
        yield json.loads(_stack("environment", "--json", "--folder", str(folder)))
    finally:
        _stack("down", "--folder", str(folder))


def _stack(*arguments: str) -> str:
    command = [sys.executable, "manage.py", "stack", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"stack {arguments[0]} failed:\n{done.stdout}")
    return done.stdout

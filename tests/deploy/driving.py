"""`manage.py stack`, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from config.supervising import BASE
from deploy.local import knots, layout, npm
from deploy.local.control import processes
from deploy.local.stack import START_SECONDS, STOP_SECONDS


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-u", "manage.py", "stack", *arguments]


# More than all that a command may wait for: what npm and Debian sid are asked for, three rounds of programs that start,
# and the end of all when one does not. Only a command that hangs meets it.
PATIENCE_SECONDS = 2 * npm.PATIENCE_SECONDS + knots.PATIENCE_SECONDS + 3 * START_SECONDS + STOP_SECONDS + 60


def stack(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=BASE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def up(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return stack("up", "--folder", str(folder), "--base-port", "0", *more, **environment)


def nothing_runs(folder: Path) -> bool:
    place = layout.load(folder)
    return list(processes(place)) == [] and layout.taken_ports(place) == []

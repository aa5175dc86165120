"""`manage.py stack`, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from config.supervising import BASE
from deploy.local import layout
from deploy.local.control import processes


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-u", "manage.py", "stack", *arguments]


def stack(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    return subprocess.run(
        command(*arguments), cwd=BASE, env=variables, capture_output=True, text=True, timeout=180, check=False
    )


def up(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return stack("up", "--folder", str(folder), "--base-port", "0", *more, **environment)


def nothing_runs(folder: Path) -> bool:
    place = layout.load(folder)
    return list(processes(place)) == [] and layout.taken_ports(place) == []

"""A small crowd that stampedes a running application while a test does something to it, and what it was promised."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Protocol
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
USERS = 120


class Application(Protocol):
    """A running application: where it answers, where its data are, and how commands find it."""

    @property
    def url(self) -> str: ...

    @property
    def data(self) -> Path: ...

    @property
    def environment(self) -> dict[str, str]: ...


@contextmanager
def run(application: Application, scenario: str, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A load run; when the block ends, so has the run."""
    command = [sys.executable, "manage.py", "loadtest", "run", scenario, "--host", application.url]
    command += ["--users", str(USERS), "--duration", "8", "--time-scale", "0.01", "--run-dir", str(folder)]
    pipe = subprocess.DEVNULL
    load = subprocess.Popen(
        [*command, "--no-audit", *more], cwd=ROOT, env=application.environment, stdout=pipe, stderr=pipe, text=True
    )
    try:
        yield load
        load.wait(120)
    finally:
        load.kill()
        load.wait()


def manage(application: Application, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=application.environment, capture_output=True, text=True, timeout=180, check=False
    )


def acknowledged(run_dir: Path) -> list[str]:
    path = run_dir / "acknowledged.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def audited_clean(application: Application, *run_dirs: Path) -> None:
    """The books are right, and hold every signup that these runs were promised."""
    files = [word for folder in run_dirs for word in ("--acknowledged", str(folder / "acknowledged.jsonl"))]
    audit = manage(application, "audit", *files)
    assert audit.returncode == 0, audit.stdout + audit.stderr


def mails(application: Application) -> list[str]:
    """The Message-ID of each mail that arrived."""
    folder = application.data / "mail" / "new"
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [str(message_from_bytes(path.read_bytes())["Message-ID"]) for path in found]


def board(application: Application) -> dict[str, int]:
    with urlopen(f"{application.url}/api/board", timeout=10) as response:
        return json.load(response)  # type: ignore[no-any-return]

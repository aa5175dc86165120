"""kill -9 in the middle of a run: what was acknowledged is there, nothing is sent or given twice, the books hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.deadline import until
from tests.process.conftest import ROOT, Served

pytestmark = pytest.mark.process
USERS = 120


def acknowledged(run: Path) -> list[str]:
    path = run / "acknowledged.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def mails(served: Served) -> list[str]:
    folder = served.data / "mail" / "new"
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [str(message_from_bytes(path.read_bytes())["Message-ID"]) for path in found]


def board(served: Served) -> dict[str, int]:
    with urlopen(f"{served.url}/api/board", timeout=10) as response:
        return json.load(response)  # type: ignore[no-any-return]


@contextmanager
def run(served: Served, scenario: str, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A load run; when the block ends, so has the run."""
    command = [sys.executable, "manage.py", "loadtest", "run", scenario, "--host", served.url, "--users", str(USERS)]
    command += ["--duration", "8", "--time-scale", "0.03", "--run-dir", str(folder), "--no-audit", *more]
    pipe = subprocess.DEVNULL
    load = subprocess.Popen(command, cwd=ROOT, env=served.environment, stdout=pipe, stderr=pipe, text=True)
    try:
        yield load
        load.wait(120)
    finally:
        load.kill()
        load.wait()


def kill_one_of_each(served: Served) -> None:
    """The Celery worker, and one of the two web processes (the first that matches is gunicorn's master)."""
    web = served.kill("gunicorn", index=-1)
    worker = served.kill("celery", "worker")
    until(lambda: web not in {p.pid for p in served.processes("gunicorn")}, "the web process is gone")
    until(lambda: {p.pid for p in served.processes("celery", "worker")} - {worker}, "a new worker")


def audited_clean(served: Served, run_dir: Path) -> None:
    audit = served.manage("audit", "--acknowledged", str(run_dir / "acknowledged.jsonl"))
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_killed_worker_and_web_process_lose_and_repeat_nothing(served: Served, tmp_path: Path) -> None:
    signups = tmp_path / "signup"
    with run(served, "signup", signups):
        until(lambda: len(acknowledged(signups)) > USERS // 4, "the run is in the middle")
        kill_one_of_each(served)
    count = len(acknowledged(signups))
    assert count >= USERS * 0.9, "most people got through"

    # A row whose worker died is claimed again when its lease is over, so everybody is numbered, invited and told.
    until(lambda: board(served)["last_number"] >= count, "everybody has a number")
    until(lambda: board(served)["waiting"] == 0, "everybody is invited")
    until(lambda: len(mails(served)) >= 2 * board(served)["last_number"], "everybody has both mails")
    assert set(Counter(mails(served)).values()) == {1}
    audited_clean(served, signups)

    joined = tmp_path / "purchase"
    with run(served, "purchase", joined, "--mailbox", str(served.data / "mail"), "--users", str(USERS // 2)):
        until(lambda: b"joined" in _states(served), "somebody has joined")
        kill_one_of_each(served)
    audited_clean(served, signups)


def _states(served: Served) -> bytes:
    """Told by the books themselves: the run may not be asked."""
    import sqlite3

    with sqlite3.connect(f"file:{served.data / 'stampede.sqlite3'}?mode=ro", uri=True) as books:
        return b" ".join(row[0].encode() for row in books.execute("SELECT DISTINCT state FROM ico_entrant"))

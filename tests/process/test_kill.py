"""kill -9 in the middle of a run: what was acknowledged is there, nothing is sent or given twice, the books hold."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.deadline import until
from tests.process.conftest import Served
from tests.process.crowd import USERS, acknowledged, audited_clean, board, mails, run

pytestmark = pytest.mark.process


def kill_one_of_each(served: Served) -> None:
    """The Celery worker, and one of the two web processes (the first that matches is gunicorn's master)."""
    web = served.kill("gunicorn", index=-1)
    worker = served.kill("celery", "worker")
    until(lambda: web not in {p.pid for p in served.processes("gunicorn")}, "the web process is gone")
    until(lambda: {p.pid for p in served.processes("celery", "worker")} - {worker}, "a new worker")


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

    with closing(sqlite3.connect(f"file:{served.data / 'stampede.sqlite3'}?mode=ro", uri=True)) as books:
        return b" ".join(row[0].encode() for row in books.execute("SELECT DISTINCT state FROM ico_entrant"))

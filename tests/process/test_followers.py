"""Two follower processes on one set of books: one leads, the other takes over when it is killed, and at once when it is
told to stop. Whatever is cut off in the middle, each payment is credited once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ico.followers import LEASE_SECONDS
from tests.deadline import until
from tests.process.crowd import ROOT

pytestmark = pytest.mark.process

PEOPLE, BLOCKS = 60, 3_000


class Place:
    """A data folder with people who have paid and are not credited yet, and the followers that work on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "STAMPEDE_DATA": str(folder / "data")}
        told = self.run("-m", "tests.process.paid_people", str(PEOPLE), str(BLOCKS))
        self.expected = {int(key): cents for key, cents in json.loads(told.splitlines()[-1]).items()}
        self.running: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def follower(self) -> subprocess.Popen[bytes]:
        log = (self.folder / f"follower-{len(self.running)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "follow_chains"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.running.append(process)
        until(lambda: "following BTC, ETH" in self.log(process) or process.poll() is not None, "the start")
        assert process.poll() is None, self.log(process)
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"follower-{self.running.index(process)}.log").read_text()

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.folder / 'data' / 'stampede.sqlite3'}?mode=ro", uri=True)) as books:
            return books.execute(query).fetchall()

    def height(self) -> int:
        """Of the chain that is followed least far."""
        return int(self.rows("SELECT min(height) FROM ico_chaincursor")[0][0])

    def leases(self) -> list[tuple[str, datetime]]:
        """Who follows each chain, and until when."""
        found = self.rows("SELECT holder, expires_at FROM ico_lease WHERE name LIKE 'follow:%' ORDER BY name")
        return [(holder, datetime.fromisoformat(end)) for holder, end in found]

    def led_by(self, process: subprocess.Popen[bytes]) -> bool:
        """Both chains."""
        holders = [holder for holder, _ in self.leases()]
        return len(holders) == 2 and all(f":{process.pid}:" in holder for holder in holders)

    def leases_end(self) -> list[datetime]:
        return [end for _, end in self.leases()]

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            process.wait(60)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_killed_leader_is_followed_and_nothing_is_credited_twice(place: Place) -> None:
    first = place.follower()
    until(lambda: place.led_by(first), "the first process leads both chains")
    until(lambda: place.height() >= 200, "it is in the middle")
    os.kill(first.pid, signal.SIGKILL)
    first.wait(30)
    over = place.leases_end()
    assert place.height() < BLOCKS, "it was killed before it was through"
    assert place.led_by(first)
    second = place.follower()
    until(lambda: place.led_by(second), "the second one takes over", seconds=LEASE_SECONDS + 30)
    # Its own leases tell when it took or last renewed them, however long this test was kept waiting.
    taken = [end - timedelta(seconds=LEASE_SECONDS) for end in place.leases_end()]
    assert all(this >= that for this, that in zip(taken, over, strict=True)), "it led before the lease had run out"
    third = place.follower()
    second.terminate()
    assert second.wait(60) == 0
    assert "stopped following" in place.log(second)
    until(lambda: place.led_by(third), "the third one leads before any lease could run out", seconds=LEASE_SECONDS - 5)

    until(lambda: place.height() >= BLOCKS + 20, "everything is followed")
    credited = dict(place.rows("SELECT id, credited_cents FROM ico_invitation"))
    assert credited == place.expected
    assert place.rows("SELECT count(*), count(DISTINCT deposit_id), min(cents) FROM ico_ledgerentry") == [
        (2 * PEOPLE, 2 * PEOPLE, 30_000)
    ]
    place.stop()
    assert place.leases() == []
    assert json.loads(place.run("-m", "tests.process.paid_people", "audit")) == []

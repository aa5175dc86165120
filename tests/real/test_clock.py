"""The clock on a real primary: a connection an entry and no more, which come back when the server was restarted, and
are closed by an orderly stop."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from deploy.local import mariadb
from tests.deadline import until
from tests.real.conftest import ROOT, Stack, servers

pytestmark = pytest.mark.process

# Entries that have had a turn within seconds. The others come once a minute or more seldom.
BUSY = sum(entry["schedule"].total_seconds() <= 5 for entry in settings.CELERY_BEAT_SCHEDULE.values())


@pytest.fixture(scope="module")
def primary() -> Iterator[Stack]:
    """No web tier and nobody else: whatever is connected is the clock, or the tests' own books."""
    with (
        tempfile.TemporaryDirectory(prefix="stampede-clock-") as place,
        servers(Path(place) / "stack", "primary") as made,
    ):
        yield made


@contextmanager
def clock(stack: Stack, log: Path, application: str = "config") -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", application, "beat", "--pidfile="]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=stack.environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def connected(stack: Stack) -> int:
    """Connections of the application, but for the one of the tests' books."""
    with mariadb.admin(stack.layout, "primary") as cursor:
        account = f"USER = '{mariadb.ACCOUNT}'"
        cursor.execute(f"SELECT COUNT(*) AS many FROM information_schema.PROCESSLIST WHERE {account}")
        return int(cursor.fetchone()["many"]) - 1


def signs_up(stack: Stack, email: str) -> None:
    stack.python("waitlist.join(email=email, client_address=None, now=now)", email=email)


def numbered(stack: Stack) -> int:
    return int(stack.python("out = models.Entrant.objects.exclude(number=None).count()"))


def restart(stack: Stack) -> None:
    stack.stop("primary")
    stack.start("primary")
    until(lambda: _answers(stack), "the primary answers")


def _answers(stack: Stack) -> bool:
    try:
        return numbered(stack) >= 0
    except AssertionError:
        return False


def test_connections_are_kept_come_back_and_are_closed(primary: Stack, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with clock(primary, log) as process:
        signs_up(primary, "before@example.org")
        until(lambda: numbered(primary) == 1, "the clock gives a number")
        until(lambda: connected(primary) == BUSY, "a connection for each entry")
        restart(primary)
        signs_up(primary, "after@example.org")
        until(lambda: numbered(primary) == 2, "the clock goes on")
        until(lambda: connected(primary) == BUSY, "a connection for each entry again")
        process.terminate()
        assert process.wait(30) == 0
        until(lambda: connected(primary) == 0, "all are closed")


def test_a_clock_that_does_not_look_at_them_never_works_again(primary: Stack, tmp_path: Path) -> None:
    """Negative control. An entry that was in the middle of a transaction when the server went comes back all the same,
    for Django gives up a connection that cannot even roll back; those that rested do not."""
    log = tmp_path / "log"
    had = numbered(primary)
    with clock(primary, log, "tests.real.careless_clock"):
        signs_up(primary, "careless-before@example.org")
        until(lambda: numbered(primary) == had + 1, "the clock gives a number")
        until(lambda: connected(primary) == BUSY, "a connection for each entry")
        restart(primary)
        until(lambda: "failed" in log.read_text(), "ticks fail")
        with pytest.raises(pytest.fail.Exception):
            until(lambda: connected(primary) == BUSY, "a connection for each", seconds=5)

"""The clock does its ticks itself: one at a time per entry, none held up by another, an orderly end. Driven as beat
drives it; the last test is the real program with a real signal."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import Service
from django.db import connection

from config import clock
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def ticking(**entries: Callable[[], object]) -> Iterator[clock.Scheduler]:
    """A clock that does these every 10 ms, until the block ends."""
    app = Celery("clock-test", broker="memory://", set_as_current=False)
    for name, work in entries.items():
        app.task(name=f"test.{name}")(work)
    app.conf.beat_schedule = {name: {"task": f"test.{name}", "schedule": timedelta(seconds=0.01)} for name in entries}
    app.finalize()
    service = Service(app, scheduler_cls=clock.Scheduler)
    loop = threading.Thread(target=service.start)
    loop.start()
    try:
        yield service.scheduler
    finally:
        service.stop()
        loop.join(30)
        assert not loop.is_alive()


def test_an_entry_that_still_runs_is_not_started_again_and_holds_up_no_other() -> None:
    running, most, go_on = 0, 0, threading.Event()
    others: list[int] = []

    def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        go_on.wait(30)
        running -= 1

    def quick() -> None:
        others.append(1)

    with ticking(slow=slow, quick=quick):
        until(lambda: len(others) >= 20, "20 ticks of the other entry")
        assert (running, most) == (1, 1)
        go_on.set()
        until(lambda: len(others) >= 40, "it goes on")
    assert most == 1


def test_an_exception_stops_neither_its_own_entry_nor_another_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed: list[int] = []
    done: list[int] = []

    def fails_ten_times() -> None:
        if len(failed) < 10:
            failed.append(1)
            raise ValueError("no luck")

    def good() -> None:
        done.append(1)

    with caplog.at_level(logging.WARNING, "config.clock"), ticking(bad=fails_ten_times, good=good):
        until(lambda: len(failed) == 10 and len(done) >= 10, "both go on")
        until(lambda: "works again" in caplog.text, "the end of the trouble is told")
    assert caplog.text.count("ValueError: no luck") == 1


def test_a_task_that_hangs_for_ever_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clock, "STOP_SECONDS", 0.1)
    begun, never = threading.Event(), threading.Event()

    def hangs() -> None:
        begun.set()
        never.wait(60)

    with ticking(hangs=hangs):
        assert begun.wait(30)
    assert "tick hangs still runs" in caplog.text
    never.set()


@pytest.mark.django_db(transaction=True)
def test_each_entry_keeps_one_connection_which_is_closed_at_the_end() -> None:
    seen: set[int] = set()
    wrappers = []

    def asks() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        seen.add(id(connection.connection))
        wrappers.append(connection._connections[connection._alias])  # type: ignore[attr-defined]

    with ticking(asks=asks):
        until(lambda: len(wrappers) >= 10, "ten ticks")
        assert wrappers[-1].connection is not None
    assert len(seen) == 1
    assert wrappers[-1].connection is None


def test_sigterm_lets_a_running_tick_finish(tmp_path: Path) -> None:
    """The real program. The tick waits for a file that appears only after the signal."""
    command = [sys.executable, "-m", "celery", "-A", "tests.config.slow_clock", "beat", "--pidfile="]
    environment = {**os.environ, "SLOW_CLOCK": str(tmp_path), "STAMPEDE_DATA": str(tmp_path / "data")}
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: (tmp_path / "begun").exists() or process.poll(), "a tick")
        os.kill(process.pid, signal.SIGTERM)
        (tmp_path / "go on").touch()
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
        log.close()
    assert (tmp_path / "begun").read_text().count("tick") == (tmp_path / "finished").read_text().count("tick")

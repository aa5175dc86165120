"""A run that slows a bystander down is ended, and one that does not goes on."""

from __future__ import annotations

import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from loadtests.beside import Running
from loadtests.calibrating import known_server
from loadtests.calibrating.known_server import KnownServer
from loadtests.guard import bystander
from loadtests.guard.bystander import Bystander, Seen, harmed
from loadtests.target import TargetRefused
from tests.deadline import until
from tests.served import served

from ..small_sale import Answer, serving


def answers(*milliseconds: float | None) -> list[Seen]:
    return [Seen(at, (ms or 0) / 1e3, "status 503" if ms is None else "") for at, ms in enumerate(milliseconds)]


@pytest.mark.parametrize(
    ("usual_ms", "seen", "reason"),
    [
        (10, answers(10, 11, 9, 12, 10, 10), None),
        (10, answers(10, 900, 9, 900, 10, 10), None),  # slow twice by chance
        (10, answers(40, 40, 40, 40, 40, 40), None),  # four times as slow, and nobody feels it
        (10, answers(120, 120, 120, 120, 120, 120), "answers in 120 ms, and took 10 ms"),
        (500, answers(900, 900, 900, 900, 900, 900), None),  # not three times
        (10, answers(500, 500, 500, 500, 500), None),  # too few to say
        (10, answers(10, None, 10, None, 10, None), "answers in"),  # every other one fails
        (10, answers(None, None), None),
        (10, answers(None, None, None), "failed 3 times in a row .status 503."),
    ],
)
def test_what_harm_is(usual_ms: float, seen: list[Seen], reason: str | None) -> None:
    why = harmed(usual=usual_ms / 1e3, seen=seen)
    assert (why is None) if reason is None else re.search(reason, why or "")


@pytest.fixture(scope="module")
def known() -> Iterator[KnownServer]:
    with known_server.running() as server:
        yield server


class Run:
    """What a Beside is given, and what it said."""

    def __init__(self, run_dir: Path) -> None:
        self.stopped: list[str] = []
        self.left: list[str] = []
        self.events: list[str] = []
        self.running = Running(
            run_id="test",
            run_dir=run_dir,
            plan=None,  # type: ignore[arg-type]  # the bystander asks nothing of it
            target=None,  # type: ignore[arg-type]
            began=time.time(),
            stop=self.stopped.append,
            leave=self.left.append,
            event=self.events.append,
        )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(bystander, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(bystander, "FIRST_EVERY_SECONDS", 0.001)
    return Run(tmp_path)


def test_a_bystander_that_is_well_ends_nothing(known: KnownServer, run: Run, tmp_path: Path) -> None:
    well = Bystander(known.address("latency=constant:5ms&name=well"))
    well.start(run.running)
    until(lambda: len(bystander.read(tmp_path)) > 2 * bystander.WINDOW, "it was asked a dozen times")
    well.stop()
    assert (run.stopped, run.left, run.events) == ([], [], [])
    assert min(one.seconds for one in bystander.read(tmp_path)) >= 0.005


def test_one_that_fails_ends_the_run_and_is_watched_on(run: Run, tmp_path: Path) -> None:
    with known_server.running() as gone:
        ill = Bystander(gone.address("name=ill"))
        ill.start(run.running)
    until(lambda: run.stopped, "the run was stopped")
    until(lambda: run.left, "it was asked on, and those present left")
    ill.stop()
    assert len(run.stopped) == 1
    assert "failed 3 times in a row" in run.left[0]
    assert "failed 3 times in a row" in run.stopped[0]
    assert run.events[0] == run.stopped[0]


def test_a_full_disk_does_not_make_it_look_away_nor_fall_at_the_end(
    known: KnownServer, run: Run, tmp_path: Path
) -> None:
    (tmp_path / bystander.FILE).symlink_to("/dev/full")
    well = Bystander(known.address("name=unwritten"))
    well.start(run.running)
    until(lambda: len(run.events) > 1, "it was asked, and asked again")
    well.stop()
    assert set(run.events) == {f"{bystander.FILE} cannot be written: No space left on device"}


def test_one_that_drips_is_overdue_and_ends_the_run_which_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each single wait is short; the answer as a whole never comes."""
    harm, over = threading.Event(), threading.Event()

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.recv(65_536)
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while harm.is_set() and not over.wait(0.05):
                    self.request.sendall(b".")
                self.request.sendall(b"." * 1000)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping)
    with served(server):
        slow = Bystander(f"http://127.0.0.1:{server.server_address[1]}")
        slow.start(run.running)
        harm.set()
        monkeypatch.setattr(bystander, "PATIENCE_SECONDS", 0.3)
        until(lambda: run.stopped, "the run was stopped")
        slow.stop()
        over.set()
    assert "failed 3 times in a row (TimeoutError" in run.stopped[0]


def test_one_that_slows_down_ends_the_run(run: Run) -> None:
    harm = threading.Event()
    with serving(lambda *_: Answer(200, delay=0.5 if harm.is_set() else 0.0)) as beside:
        slow = Bystander(beside.url)
        slow.start(run.running)
        harm.set()
        until(lambda: run.stopped, "the run was stopped")
        slow.stop()
    assert "the bystander answers in" in run.stopped[0]


def test_one_that_does_not_answer_at_the_start_refuses_the_run(run: Run) -> None:
    with pytest.raises(TargetRefused, match="does not answer"):
        Bystander("http://127.0.0.1:1/").start(run.running)


def test_one_on_another_host_must_be_allowed() -> None:
    with pytest.raises(TargetRefused, match="--allow-host"):
        Bystander("http://192.0.2.1/health")
    Bystander("http://192.0.2.1/health", allow=("192.0.2.1",))

"""Conductor and workers as real processes: what becomes of a run when something becomes of them."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from loadtests import record
from loadtests.crowd import NOT_KEPT
from loadtests.running import framefile, live
from loadtests.verdict import Outcome
from tests.deadline import until

from ..small_sale import Answer, SmallSale, position, right, serving
from .conducting import Run, accounted, gone, kill, plan_at

pytestmark = pytest.mark.process


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_killed_worker_is_replaced_nobody_is_used_twice_and_the_loss_is_stated(run_dir: Path) -> None:
    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if ".w3." in form.get("email", ""):
            run.stop()  # whoever took over has begun
        return right(method, path, form, sale)

    with serving(script) as sale:
        # Of two thousand for a hundred seconds: the end comes when the replacement has begun, however long it takes.
        run = Run(plan_at(sale.url, users=2000), run_dir, lambda run: kill(run.workers()[0]), local=2)
        measured = run.go()
        posts = sale.requests["POST /signup/"]
        emails = list(sale.emails)
    lost, other, replacement = measured["workers"]
    if other["lost"]:
        lost, other = other, lost
    assert (lost["lost"], other["lost"], replacement["lost"]) == (True, False, False)
    assert (replacement["number"], replacement["slot"]) == (3, lost["slot"])
    assert replacement["from"] > 0
    assert posts == len(emails) == len(set(emails)), "an address was posted twice"
    seen = [re.match(r"visitor-(\d+)\.w(\d+)\.", email).groups() for email in emails]  # type: ignore[union-attr]
    assert len({index for index, _ in seen}) == len(seen), "a visitor was driven twice"
    assert {int(index) % 2 for index, worker in seen if int(worker) in (lost["number"], 3)} == {lost["slot"]}
    who = measured["visitors"]
    assert accounted(who), who
    assert who["unmet"] > 0, "between the death and the replacement nobody of that slot was let in"
    assert any("was lost after" in event for event in run.events)
    assert any("takes over" in event for event in run.events)


def test_a_second_interrupt_lets_nobody_finish(run_dir: Path) -> None:
    def interrupt(run: Run) -> None:
        run.conductor.process.send_signal(signal.SIGINT)

    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if run.events and not again:
            again.append(True)
            interrupt(run)
        return right(method, path, form, sale)

    again: list[bool] = []
    with serving(script) as sale:
        run = Run(plan_at(sale.url, time_scale=0.1), run_dir, interrupt)  # they stay half a minute
        measured = run.go()
    who = measured["visitors"]
    assert measured["ended_by"] == "second interrupt"
    assert who["cut_off"] > 0
    assert accounted(who)


def test_a_run_is_listed_and_stopped_by_somebody_else_and_those_present_finish(run_dir: Path) -> None:
    def loadtest(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", "loadtest", *arguments]
        env = {**os.environ, "STAMPEDE_LOAD_KEY": str(settings.LOAD_KEY), "STAMPEDE_DATA": str(settings.DATA_DIR)}
        return subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=subprocess.PIPE, text=True)

    def said(*arguments: str) -> str:
        with loadtest(*arguments, "--runs", str(run_dir.parent)) as process:
            return process.communicate(timeout=90)[0]

    with serving() as sale:
        options = ["--users", "2000", "--rate", "20", "--time-scale", "0.002", "--host", sale.url, "--no-audit"]
        with loadtest("run", "signup", *options, "--run-dir", str(run_dir)) as run:
            until(lambda: (found := live.read(run_dir)) and found.progress.get("arrived"), "somebody arrived")
            assert str(run_dir) in said("list")
            assert "no more arrivals" in said("stop", run_dir.name)
            run.communicate(timeout=90)
    assert run.returncode == Outcome.INVALID.value, "somebody ended it: the plan was not measured"
    results = record.read(run_dir)["results"]
    assert results["ended_by"] == "interrupt"
    assert 0 < results["visitors"]["finished"] == results["visitors"]["arrived"] < 2000
    assert accounted(results["visitors"])
    assert "no run is going on" in said("list")


def test_a_conductor_that_is_killed_takes_its_workers_along_and_leaves_what_was_seen(run_dir: Path) -> None:
    workers: list[psutil.Process] = []

    def end(run: Run) -> None:
        workers.extend(run.workers())
        run.conductor.process.kill()

    with serving() as sale:
        measured = Run(plan_at(sale.url), run_dir, end).go()
        gone(workers)
    assert measured["ended_by"] == "the conductor died (signal 9)"
    assert len(workers) == 1
    who = measured["visitors"]
    assert accounted(who), who
    assert who["arrived"] > 0
    assert who["unmet"] > 0


def test_when_whoever_ordered_the_run_is_gone_everybody_leaves(run_dir: Path) -> None:
    def vanish(run: Run) -> None:
        assert run.conductor.process.stdin is not None
        run.conductor.process.stdin.close()

    with serving() as sale:
        measured = Run(plan_at(sale.url, time_scale=0.1), run_dir, vanish).go()
    assert measured["ended_by"] == "whoever ordered the run is gone"
    assert measured["visitors"]["cut_off"] > 0
    assert accounted(measured["visitors"])


def test_a_disk_that_fills_ends_the_run_in_order(run_dir: Path) -> None:
    with serving() as sale:
        frames = run_dir / framefile.NAME
        run = Run(plan_at(sale.url), run_dir, afterwards=lambda run: frames.unlink())  # reading it has no end
        run.prepare()
        frames.symlink_to("/dev/full")
        measured = run.go()
        assert sale.requests["POST /signup/"] > 0
    assert measured["ended_by"] == "the record cannot be written: No space left on device"
    assert any("lines could not be kept" in event for event in run.events)
    assert not (run_dir / framefile.RESERVE).exists()


def test_evidence_that_cannot_be_written_ends_the_run_and_accuses_nobody(run_dir: Path) -> None:
    with serving() as sale:
        promises = run_dir / "acknowledged.jsonl"
        run = Run(plan_at(sale.url, time_scale=0.1), run_dir, afterwards=lambda run: promises.unlink())
        run.prepare()
        promises.unlink()
        promises.symlink_to("/dev/full")
        measured = run.go()
    assert measured["ended_by"].startswith("evidence could not be written: acknowledged.jsonl")
    assert measured["total"]["untrue"] == 0
    assert measured["visitors"]["lost"] == 0
    assert any(note.startswith(NOT_KEPT) for note in measured["generator"]["notes"])
    assert accounted(measured["visitors"])


def test_whoever_does_harm_by_being_there_leaves(run_dir: Path) -> None:
    with serving() as sale:
        plan = plan_at(sale.url, time_scale=0.1)  # they would stay half a minute
        measured = Run(plan, run_dir, lambda run: run.conductor.leave("the bystander failed")).go()
    assert measured["ended_by"] == "the bystander failed"
    assert measured["visitors"]["cut_off"] > 0
    assert accounted(measured["visitors"])


def test_a_limit_that_stops_the_run_stops_it(run_dir: Path) -> None:
    def lying(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        lie = Answer(200, position(number=1, ahead=3) | {"position": 3})
        return lie if path.startswith("/api/position") else right(method, path, form, sale)

    with serving(lying) as sale:
        measured = Run(plan_at(sale.url, limits=("untrue == 0 stop",)), run_dir).go()
    assert measured["ended_by"].startswith("limit broken: untrue == 0 stop")
    assert measured["visitors"]["arrived"] < 1000
    assert accounted(measured["visitors"])


def test_workers_of_other_machines_join_with_the_key_and_send_their_evidence_home(run_dir: Path) -> None:
    """One comes with another key, and is not listened to. Both are told a run directory that is not theirs."""
    joined: list[subprocess.Popen[bytes]] = []

    def worker(run: Run, key: bytes) -> None:
        command = [sys.executable, "manage.py", "loadtest", "worker", "--master", f"127.0.0.1:{run.port}"]
        env = {**os.environ, "STAMPEDE_LOAD_KEY": key.decode(), "STAMPEDE_DATA": str(settings.DATA_DIR)}
        joined.append(subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=subprocess.DEVNULL))

    def listening(run: Run) -> None:
        worker(run, b"another key")
        worker(run, run.key)

    key = str(settings.LOAD_KEY).encode()
    with serving() as sale:
        plan = plan_at(sale.url, users=5, environment="demo")
        run = Run(plan, run_dir, local=0, remote=1, key=key, mark="of another machine")
        try:
            measured = run.go(listening)
            until(lambda: all(process.poll() is not None for process in joined), "workers end with the run")
        finally:
            for process in joined:
                process.kill()
                process.wait()
        emails = sorted(sale.emails)
    assert measured["visitors"]["finished"] == 5
    assert [worker["host"] == "here" for worker in measured["workers"]] == [False]
    promised = [json.loads(line)["email"] for line in (run_dir / "acknowledged.jsonl").read_text().splitlines()]
    assert sorted(promised) == emails
    told: list[Any] = [event for event in run.events if "not listened to" in event]
    assert told
    assert "seal is wrong" in told[0]


def test_the_address_that_was_asked_is_driven_and_the_name_not_looked_up_again(run_dir: Path) -> None:
    """A name may have several addresses, and others a moment later: only one of them said that it may be driven."""
    with serving() as sale:
        port = sale.server_address[1]
        run = Run(plan_at(f"http://no-such-name.invalid:{port}", users=3), run_dir, address="127.0.0.1")
        measured = run.go()
        assert sale.requests["POST /signup/"] == 3
    assert measured["visitors"]["finished"] == 3, run.events

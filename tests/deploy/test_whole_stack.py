"""The real stack, brought up as a person does it: what answers, what a signup goes through, what is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from config.supervising import BASE
from deploy.local import layout, mariadb
from deploy.local.control import Supervisor, processes
from deploy.local.layout import Layout
from tests.deadline import until

pytestmark = pytest.mark.process


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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stack"
    if layout.is_stack(tmp_path / "stack"):
        stack("down", "--folder", str(tmp_path / "stack"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    folder = tmp_path_factory.mktemp("whole")
    try:
        started = up(folder)
        assert started.returncode == 0, started.stdout + started.stderr
        yield layout.load(folder)
        down = stack("down", "--folder", str(folder))
        assert down.returncode == 0, down.stdout + down.stderr
        assert nothing_runs(folder), "down left something behind"
    finally:
        stack("down", "--folder", str(folder), "--wipe")
    assert not folder.exists()


def test_everything_answers_and_the_replicas_replicate(whole: Layout) -> None:
    status = stack("status", "--folder", str(whole.folder))
    assert status.returncode == 0, status.stdout
    lines = {line.split()[0]: line for line in status.stdout.splitlines() if line.strip()}
    assert set(layout.PROGRAMS) < set(lines)
    assert all(
        "running" in lines[name] and lines[name].rstrip().endswith(("yes", "behind")) for name in layout.PROGRAMS
    )
    assert " 0 s behind" in lines["replica1"]


def test_a_signup_through_nginx_is_on_every_node_and_its_mail_arrives(whole: Layout) -> None:
    body = json.dumps({"email": "ada@load.test"}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{whole.port('nginx')}/signup/"
    with urlopen(Request(url, body, headers), timeout=30) as answer:
        assert answer.status == 202
    for node in layout.NODES:
        until(lambda node=node: people(whole, node) == 1, f"the row is on {node}")  # type: ignore[misc]
    inbox = whole.data / "mail" / "new"
    until(lambda: inbox.exists() and any(inbox.iterdir()), "a mail")
    assert message_from_bytes(next(inbox.iterdir()).read_bytes())["To"] == "ada@load.test"
    audit = stack("run", "--folder", str(whole.folder), "--", "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def people(place: Layout, node: str) -> int:
    with mariadb.as_application(place, node) as cursor:
        cursor.execute("SELECT COUNT(*) FROM ico_entrant")
        return int(cursor.fetchone()[0])


def test_the_application_may_not_write_to_a_replica_nor_make_databases_but_for_tests(whole: Layout) -> None:
    from MySQLdb import OperationalError

    with mariadb.as_application(whole, "replica1") as cursor:
        with pytest.raises(OperationalError, match="read-only"):
            cursor.execute("DELETE FROM ico_entrant")
        with pytest.raises(OperationalError, match="READ_ONLY ADMIN"):
            cursor.execute("SET GLOBAL read_only = 0")
    with mariadb.as_application(whole, "primary") as cursor:
        with pytest.raises(OperationalError, match="denied"):
            cursor.execute("CREATE DATABASE another")
        cursor.execute("CREATE DATABASE test_of_mine")
        cursor.execute(
            "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='test_of_mine'"
        )
        assert cursor.fetchone() == ("utf8mb4_bin",)
        cursor.execute("DROP DATABASE test_of_mine")
        cursor.execute("SELECT @@tx_isolation, @@sync_binlog, @@innodb_flush_log_at_trx_commit, @@gtid_strict_mode")
        assert cursor.fetchone() == ("READ-COMMITTED", 1, 1, 1)


def test_a_second_up_changes_nothing(whole: Layout) -> None:
    before = Supervisor(whole).states()
    again = stack("up", "--folder", str(whole.folder), "--only", "redis")
    assert again.returncode == 0
    assert "running already; nothing was changed" in again.stdout
    assert {name: state.pid for name, state in Supervisor(whole).states().items()} == {
        name: state.pid for name, state in before.items()
    }
    assert layout.load(whole.folder).programs == layout.PROGRAMS


def test_another_stack_beside_it(whole: Layout, folder: Path) -> None:
    assert up(folder, "--only", "redis").returncode == 0
    assert stack("status", "--folder", str(folder)).returncode == 0
    assert stack("down", "--folder", str(folder)).returncode == 0
    assert nothing_runs(folder)
    assert stack("status", "--folder", str(whole.folder)).returncode == 0


def test_logs_of_each_program(whole: Layout) -> None:
    assert "Ready to accept connections" in stack("logs", "--folder", str(whole.folder), "redis").stdout
    every = stack("logs", "--folder", str(whole.folder)).stdout
    assert all(f"/{name}.log" in every for name in ("primary", "web", "clock", "supervisor", "access"))


def test_what_does_not_answer_is_named(whole: Layout) -> None:
    Supervisor(whole).stop("smtp")
    try:
        status = stack("status", "--folder", str(whole.folder))
        assert status.returncode == 1
        (line,) = [line for line in status.stdout.splitlines() if "NO: " in line]
        assert line.split()[0] == "smtp"
    finally:
        Supervisor(whole).start(["smtp"])


def test_a_replica_that_has_stopped_applying_does_not_count_as_answering(whole: Layout) -> None:
    with mariadb.admin(whole, "replica2") as cursor:
        cursor.execute("STOP SLAVE SQL_THREAD")
        try:
            status = stack("status", "--folder", str(whole.folder))
            assert status.returncode == 1
            (line,) = [line for line in status.stdout.splitlines() if "NO: " in line]
            assert line.split()[0] == "replica2"
            assert "does not replicate" in line
        finally:
            cursor.execute("START SLAVE")


def test_a_killed_server_comes_back(whole: Layout) -> None:
    old = Supervisor(whole).states()["replica2"].pid
    os.kill(old, signal.SIGKILL)
    until(lambda: Supervisor(whole).states()["replica2"].pid not in (0, old), "another replica2")
    until(lambda: stack("status", "--folder", str(whole.folder)).returncode == 0, "everything answers")


# --- bad days -------------------------------------------------------------------------------------------------------
def test_a_half_started_stack_is_cleaned_up_and_says_why(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "redis-server").write_text("#!/bin/sh\necho 'not today'\nexit 3\n")
    (broken / "redis-server").chmod(0o755)
    only = ("--only", "primary,redis", "--relaxed")
    failed = up(folder, *only, PATH=f"{broken}:{os.environ['PATH']}")
    assert failed.returncode == 1
    assert "redis does not start" in failed.stderr
    assert "    not today" in failed.stderr
    assert nothing_runs(folder)
    shutil.rmtree(broken)
    assert up(folder, *only).returncode == 0  # what it left can be gone on with


def test_a_port_that_is_taken_after_it_was_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from config import serving
    from deploy.local import stack as starting

    wanted = layout.asked(folder, only="redis", base_port=0, relaxed=True)
    monkeypatch.setattr(starting, "taken_ports", lambda place: [])
    monkeypatch.setattr(serving, "go_on_to_the_end", lambda: None)  # this process goes on with other tests
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", wanted.port("redis")))
        somebody.listen()
        with pytest.raises(layout.CannotStart, match=r"(?s)redis does not start.*Address already in use"):
            starting.up(wanted, print)
    assert nothing_runs(folder)


def test_interrupted_while_starting(folder: Path) -> None:
    start = command("up", "--folder", str(folder), "--base-port", "0", "--only", "mariadb")
    process = subprocess.Popen(start, cwd=BASE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        assert next(said).startswith("Starting primary")
        process.send_signal(signal.SIGINT)
        rest = said.read()
    assert process.wait(60) == 1
    assert "Stopping what was started" in rest
    assert "Interrupted" in rest
    assert nothing_runs(folder)


@pytest.mark.parametrize("then", ["down", "up"])
def test_what_a_killed_supervisor_left_is_ended(folder: Path, then: str) -> None:
    only = ("--only", "primary,redis", "--relaxed")
    assert up(folder, *only).returncode == 0
    place = layout.load(folder)
    left = set(processes(place))
    os.kill(int((folder / "session").read_text()), signal.SIGKILL)
    until(lambda: not Supervisor(place).answers(), "supervisor is gone")
    assert set(processes(place)) < left, "its programs go on without it"
    status = stack("status", "--folder", str(folder))
    assert (status.returncode, "no supervisor" in status.stdout) == (1, True)
    again = stack(then, "--folder", str(folder), *(only if then == "up" else ()))
    assert again.returncode == 0, again.stdout + again.stderr
    if then == "up":
        assert "Ended what was left of an earlier start" in again.stdout
        assert stack("down", "--folder", str(folder)).returncode == 0
    assert nothing_runs(folder)

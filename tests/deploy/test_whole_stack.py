"""The real stack, brought up as a person does it: what answers, what a signup goes through, what is left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from config.serving import OPERATOR
from deploy.local import layout, mariadb
from deploy.local.control import Supervisor
from deploy.local.layout import Layout
from tests.deadline import until
from tests.deploy.driving import nothing_runs, stack, up

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, str]]:
    """A stack of everything, and what `up` printed."""
    folder = tmp_path_factory.mktemp("whole")
    try:
        started = up(folder)
        assert started.returncode == 0, started.stdout + started.stderr
        yield layout.load(folder), started.stdout
        down = stack("down", "--folder", str(folder))
        assert down.returncode == 0, down.stdout + down.stderr
        assert nothing_runs(folder), "down left something behind"
    finally:
        stack("down", "--folder", str(folder), "--wipe")
    assert not folder.exists()


@pytest.fixture(scope="module")
def whole(begun: tuple[Layout, str]) -> Layout:
    return begun[0]


def test_up_ends_with_a_table_of_addresses(begun: tuple[Layout, str]) -> None:
    whole, said = begun
    _, _, table = said.partition(f"The stack is running in {whole.folder}.\n")
    told = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.strip()}
    for name in ("nginx", "web", *layout.SERVERS):
        assert told[name] == [f"127.0.0.1:{whole.port(name)}"]
    public = f"http://127.0.0.1:{whole.port('nginx')}"
    assert f"the sale {public}/" in " ".join(table.split())
    assert {f"{public}/admin/", f"{public}/ops/", OPERATOR} <= set(told["operator"])
    assert told["mails"] == [str(whole.data / "mail" / "new")]
    assert told["logs"] == [str(whole.logs)]
    assert told["stop"][1:] == ["manage.py", "stack", "down", "--folder", str(whole.folder)]


def test_everything_answers_and_the_replicas_replicate(whole: Layout) -> None:
    status = stack("status", "--folder", str(whole.folder))
    assert status.returncode == 0, status.stdout
    lines = {line.split()[0]: line for line in status.stdout.splitlines() if line.strip()}
    assert set(layout.PROGRAMS) < set(lines)
    assert all(
        "running" in lines[name] and lines[name].rstrip().endswith(("yes", "behind")) for name in layout.PROGRAMS
    )
    until(lambda: " 0 s behind" in line_of(whole, "replica1"), "it has caught up")


def line_of(place: Layout, program: str) -> str:
    """What `status` says of a program."""
    printed = stack("status", "--folder", str(place.folder)).stdout
    (line,) = [line for line in printed.splitlines() if line.split()[:1] == [program]]
    return line


def test_a_signup_through_nginx_is_on_every_node_and_its_mail_arrives(whole: Layout) -> None:
    sign_up(whole, "ada@load.test")
    for node in layout.NODES:
        until(lambda node=node: people(whole, node) == 1, f"the row is on {node}")  # type: ignore[misc]
    inbox = whole.data / "mail" / "new"
    until(lambda: inbox.exists() and any(inbox.iterdir()), "a mail")
    assert message_from_bytes(next(inbox.iterdir()).read_bytes())["To"] == "ada@load.test"
    audit = stack("run", "--folder", str(whole.folder), "--", "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def sign_up(place: Layout, email: str) -> str:
    """Through nginx. Returns the id of the request."""
    body = json.dumps({"email": email}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{place.port('nginx')}/signup/"
    with urlopen(Request(url, body, headers), timeout=30) as answer:
        assert answer.status == 202
        return str(answer.headers["X-Request-ID"])


def test_the_id_of_a_signup_leads_through_the_logs_from_nginx_to_its_mail(whole: Layout) -> None:
    signup, another = sign_up(whole, "grace@load.test"), sign_up(whole, "joan@load.test")
    (passed,) = logged(whole, "nginx/access", signup)
    assert (passed["method"], passed["route"], passed["status"]) == ("POST", "/signup/", 202)
    (taken,) = logged(whole, "web", signup)
    assert (taken["logger"], taken["message"].split()[0]) == ("ico.waitlist", "place")
    (sent,) = logged(whole, "worker", signup)
    assert sent["logger"] == "config.delivery"
    assert len(sent["task_id"]) == 36
    assert {line["request_id"] for line in logged(whole, "worker", another)} == {another}
    # The invitation may have come as well by now.
    assert sent["mail"].startswith("place:")
    (mail,) = [
        mail for mail in mails(whole) if mail["Message-ID"].startswith("<place.") and mail["To"] == "grace@load.test"
    ]
    assert sent["mail"].replace(":", ".") in mail["Message-ID"]


def logged(place: Layout, name: str, request_id: str) -> list[dict[str, Any]]:
    """The lines of a log that bear this id, once there are some."""

    def found() -> list[dict[str, Any]]:
        lines = place.log(name).read_text().splitlines()
        return [json.loads(line) for line in lines if f'"{request_id}"' in line]

    return list(until(found, f"{name}.log tells of {request_id}"))


def mails(place: Layout) -> list[Message]:
    return [message_from_bytes(path.read_bytes()) for path in (place.data / "mail" / "new").iterdir()]


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

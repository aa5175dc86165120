"""`manage.py dead_letters` against a real SQS server: looking changes nothing, sending back loses nothing even when it
is killed in the middle, deleting deletes what was named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from config import batching
from tests.contracts import sqs_servers
from tests.contracts.queues import ROOT, Broker, lengths
from tests.contracts.sqs_servers import Proxy
from tests.deadline import until

pytestmark = pytest.mark.process


@dataclass
class Dead:
    """Queues with dead letters, and the command that looks after them."""

    broker: Broker
    proxy: Proxy
    data: Path
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = sqs_servers.client(self.proxy.endpoint)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        here = sqs_servers.environment(self.proxy.endpoint, self.data)
        environment = {**here, "STAMPEDE_SQS_PREFIX": self.broker.prefix}
        command = [sys.executable, "manage.py", "dead_letters", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    def fill(self, count: int) -> None:
        """Publish so many, and move them over as SQS does; their bodies are Celery's."""
        with batching.together():
            for number in range(count):
                self.broker.publish("note", number)
        queue, dead = (
            self.client.get_queue_url(QueueName=self.broker.prefix + name)["QueueUrl"] for name in ("mail", "mail-dead")
        )
        while lengths(self.broker)["mail"]:
            for message in self.client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
                self.client.send_message(QueueUrl=dead, MessageBody=message["Body"])
                self.client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def dead(sqs: Broker, proxy: Proxy, tmp_path: Path) -> Dead:
    return Dead(sqs, proxy, tmp_path / "data")


def test_looking_names_each_message_and_leaves_all_where_they_are(dead: Dead) -> None:
    dead.fill(23)
    for _ in range(2):  # the second look sees what the first gave free again
        lines = dead.run().splitlines()
        assert len(lines) == 23
        assert all("notebook.note(" in line and "received" in line for line in lines)
    assert lengths(dead.broker) == {"mail": 0, "mail-dead": 23}


def test_sent_back_they_are_done_by_a_worker(dead: Dead) -> None:
    dead.fill(12)
    assert dead.run("--send-back").count("sent back") == 12
    assert lengths(dead.broker) == {"mail": 12, "mail-dead": 0}
    with dead.broker.worker():
        until(lambda: set(dead.broker.written()) == set(range(12)), "all are done")
    assert dead.run() == "There are no dead letters.\n"


def test_one_message_is_deleted_and_the_others_stay(dead: Dead) -> None:
    dead.fill(3)
    chosen = dead.run().split()[0]
    assert dead.run("--delete", "--message", chosen) == f"{chosen}  deleted\n"
    assert lengths(dead.broker) == {"mail": 0, "mail-dead": 2}
    again = dead.begin("--delete", "--message", chosen)
    assert "not there" in again.communicate(timeout=120)[1]
    assert again.returncode == 1
    assert chosen not in dead.run()


def test_what_cannot_be_sent_back_stays_dead(dead: Dead) -> None:
    dead.fill(3)
    refused: set[str] = set()

    def refuse(entry: dict[str, Any]) -> bool:
        """Always the one that came first."""
        refused.update([entry["MessageBody"]] if not refused else [])
        return entry["MessageBody"] in refused

    dead.proxy.refuse = refuse
    output = dead.run("--send-back")
    assert (output.count("sent back"), output.count("refused time and again")) == (2, 1)
    assert lengths(dead.broker) == {"mail": 2, "mail-dead": 1}
    dead.proxy.refuse = lambda entry: False
    assert dead.run("--send-back").count("sent back") == 1  # it was given free


def test_killed_between_sending_and_deleting_nothing_is_lost(dead: Dead) -> None:
    """The proxy stops the command where it hurts most: the messages are sent, their originals not yet deleted."""
    dead.fill(15)
    command = dead.begin("--send-back")

    def stop_here(action: str) -> bool:
        if action == "DeleteMessageBatch":
            command.send_signal(signal.SIGKILL)
        return action == "DeleteMessageBatch"

    dead.proxy.lost = stop_here
    command.communicate(timeout=120)
    assert command.returncode == -signal.SIGKILL
    dead.proxy.lost = lambda action: False
    assert lengths(dead.broker) == {"mail": 10, "mail-dead": 15}
    assert dead.run("--send-back").count("sent back") == 5
    with dead.broker.worker():
        until(lambda: set(dead.broker.written()) == set(range(15)), "all are done")


def test_the_folder_broker_has_none(tmp_path: Path) -> None:
    environment = {**os.environ, "STAMPEDE_DATA": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "manage.py", "dead_letters"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert told.returncode == 0
    assert "keeps no dead letters" in told.stdout


def test_a_server_that_is_away_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    environment = sqs_servers.environment("http://127.0.0.1:9", tmp_path)
    told = subprocess.run(
        [sys.executable, "manage.py", "dead_letters"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert told.returncode == 1
    assert "SQS: Could not connect" in told.stderr
    assert "Traceback" not in told.stderr

"""The queue behaves alike on the folder broker and on a real SQS server: what is published together arrives once it is
done, and an orderly stop loses nothing. What only SQS has (batches, redelivery, dead letters, outages) is tested there:
the folder forgets what a killed worker held, and the outbox finds it by its rows (decision 2)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import batching
from config.queues import Plan, QueueMissing, found
from tests.contracts import queues, sqs_servers
from tests.contracts.queues import RECEIVES, ROOT, Broker, kill, lengths, stop
from tests.contracts.sqs_servers import Proxy, Server
from tests.deadline import until

pytestmark = pytest.mark.process


@pytest.fixture(params=["folder", "sqs"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    if request.param == "sqs":
        yield request.getfixturevalue("sqs")
    else:
        on_folder = queues.folder(tmp_path)
        yield on_folder
        on_folder.close()


# --- the contract -----------------------------------------------------------------------------------------------------
def test_what_is_published_together_arrives_once_each(broker: Broker) -> None:
    with broker.worker() as worker:
        with batching.together():
            tasks = {broker.publish("note", number) for number in range(25)}
        assert len(tasks) == 25
        until(lambda: len(broker.written()) == 25, "all arrived")
        assert stop(worker) == 0
    assert broker.written() == dict.fromkeys(range(25), 1)


def test_an_orderly_stop_finishes_what_is_begun_and_leaves_the_rest_for_the_next(broker: Broker) -> None:
    with broker.worker() as worker:
        for number in range(12):  # more than a worker takes at once
            broker.publish("slow", number)
        until(lambda: len(broker.written("begun")) == 4, "four are begun")
        worker.terminate()
        (broker.folder / "go on").touch()
        assert worker.wait(60) == 0
        assert set(broker.written()) == set(broker.written("begun"))
    with broker.worker():
        until(lambda: set(broker.written()) == set(range(12)), "the next one does the rest")


# --- sending together -------------------------------------------------------------------------------------------------
def test_25_messages_are_three_calls_and_nothing_is_sent_before_the_end(sqs: Broker, proxy: Proxy) -> None:
    with batching.together():
        for number in range(25):
            sqs.publish("note", number)
        assert proxy.calls["SendMessageBatch"] == 0
    assert sorted(proxy.batches) == [5, 10, 10]
    assert proxy.calls["SendMessage"] == 0
    assert proxy.calls["ListQueues"] == 0
    assert lengths(sqs) == {"mail": 25, "mail-dead": 0}


def test_without_the_block_a_message_is_sent_at_once(sqs: Broker, proxy: Proxy) -> None:
    """Negative control of the test above."""
    for number in range(5):
        sqs.publish("note", number)
        assert lengths(sqs)["mail"] == number + 1
    assert (proxy.calls["SendMessage"], proxy.calls["SendMessageBatch"]) == (5, 0)


def test_a_block_that_raises_sends_nothing_and_a_block_inside_another_ends_with_it(sqs: Broker, proxy: Proxy) -> None:
    def publish_and_fail() -> None:
        with batching.together():
            sqs.publish("note", 1)
            raise KeyError

    with pytest.raises(KeyError):
        publish_and_fail()
    assert sum(proxy.batches) == 0
    with batching.together():
        with batching.together():
            sqs.publish("note", 2)
        sqs.publish("note", 3)
    assert proxy.batches == [2]


def test_an_entry_that_fails_in_passing_is_sent_again_alone(sqs: Broker, proxy: Proxy) -> None:
    refusals = iter([False] * 7 + [True] + [False] * 100)
    proxy.refuse = lambda entry: next(refusals)
    with batching.together():
        for number in range(25):
            sqs.publish("note", number)
    assert proxy.batches == [10, 10, 5, 1]
    assert lengths(sqs)["mail"] == 25


def test_an_entry_that_fails_time_and_again_is_named_and_the_others_are_sent(sqs: Broker, proxy: Proxy) -> None:
    proxy.refuse = lambda entry: entry["Id"] == "0" and len(proxy.batches) != 1
    tasks = []
    with pytest.raises(batching.NotPublished) as error, batching.together():
        tasks = [sqs.publish("note", number) for number in range(12)]
    assert list(error.value.reasons) == [tasks[10]]
    assert proxy.batches == [10, 2, 1, 1]
    assert lengths(sqs)["mail"] == 11


def test_calls_respect_the_size_limit_and_a_message_beyond_it_is_named(sqs: Broker, proxy: Proxy) -> None:
    """Base64 twice makes 300 KB of ballast 533 KB of body: one a call, though the count would allow ten."""
    ballast = [300_000, 300_000, 300_000, 700_000, 0]
    tasks = []
    with pytest.raises(batching.NotPublished) as error, batching.together():
        tasks = [sqs.publish("note", number, "x" * size) for number, size in enumerate(ballast)]
    assert list(error.value.reasons) == [tasks[3]]
    assert "1048576" in error.value.reasons[tasks[3]]
    assert proxy.batches == [1, 1, 1, 1, 1]
    assert lengths(sqs)["mail"] == 4


def test_a_server_that_is_away_is_told_by_name_and_nothing_is_lost_when_it_is_back(tmp_path: Path) -> None:
    with sqs_servers.server() as server:
        broker = queues.sqs(tmp_path, server.endpoint, prefix="away-")
        with broker.worker():
            broker.publish("note", 0)
            until(lambda: broker.written()[0], "the worker works")
            server.stop()
            with pytest.raises(batching.NotPublished) as error, batching.together():
                tasks = {broker.publish("note", number): number for number in range(1, 13)}
            assert set(error.value.reasons) == set(tasks)
            server.start()  # its queues are gone: whoever sends first makes them again
            with batching.together():
                for number in tasks.values():
                    broker.publish("note", number)
            until(lambda: set(broker.written()) == set(range(13)), "the same worker goes on")
        assert "no messages from mail for now" in broker.log()
        broker.close()


# --- receiving --------------------------------------------------------------------------------------------------------
def test_what_a_killed_worker_held_comes_again(sqs: Broker) -> None:
    sqs.publish("slow", 1)
    with sqs.worker() as worker:
        until(lambda: sqs.written("begun")[1] == 1, "it is begun")
        kill(worker)
    assert lengths(sqs)["mail"] == 1
    (sqs.folder / "go on").touch()
    with sqs.worker() as worker:
        until(lambda: sqs.written()[1] == 1, "another worker does it")
        until(lambda: lengths(sqs)["mail"] == 0, "and it is deleted")
    assert sqs.written("begun")[1] == 2


def test_a_task_that_keeps_failing_is_a_dead_letter_after_so_many_receipts(sqs: Broker) -> None:
    with sqs.worker():
        sqs.publish("fail", 7)
        sqs.publish("note", 1)
        until(lambda: lengths(sqs) == {"mail": 0, "mail-dead": 1}, "it is dead")
    assert sqs.written("begun")[7] == RECEIVES
    assert sqs.written() == {1: 1}


def test_without_the_setting_a_failure_is_acknowledged_and_gone(sqs: Broker) -> None:
    """Negative control: Celery's default."""
    with sqs.worker(task_acks_on_failure=True):
        sqs.publish("fail", 7)
        until(lambda: lengths(sqs) == {"mail": 0, "mail-dead": 0} and sqs.written("begun")[7], "it is gone")
    assert sqs.written("begun")[7] == 1


@pytest.mark.parametrize(
    "body",
    [
        "not JSON at all",
        json.dumps({"body": "e30", "properties": {}}),
        json.dumps(
            {
                "body": "bm90IEpTT04=",
                "headers": {"task": "notebook.note", "id": "1"},
                "content-type": "application/json",
                "content-encoding": "utf-8",
                "properties": {"body_encoding": "base64", "delivery_info": {}},
            }
        ),
    ],
    ids=["no JSON", "no task", "arguments that cannot be read"],
)
def test_a_message_that_cannot_be_read_neither_kills_nor_holds_up_the_worker_and_is_dead_in_the_end(
    sqs: Broker, body: str
) -> None:
    with sqs.worker() as worker:
        sqs.publish("note", 1)
        client = sqs_servers.client(sqs.endpoint)
        mail = client.get_queue_url(QueueName=f"{sqs.prefix}mail")["QueueUrl"]
        client.send_message(QueueUrl=mail, MessageBody=body)
        until(lambda: lengths(sqs) == {"mail": 0, "mail-dead": 1}, "it is dead")
        sqs.publish("note", 2)
        until(lambda: set(sqs.written()) == {1, 2}, "the others are done")
        assert worker.poll() is None


def test_what_is_done_is_deleted_ten_a_call_and_never_before(sqs: Broker, proxy: Proxy) -> None:
    with sqs.worker() as worker:
        for number in range(4):
            sqs.publish("slow", number)
        until(lambda: len(sqs.written("begun")) == 4, "four are begun")
        assert proxy.calls["DeleteMessageBatch"] == 0
        (sqs.folder / "go on").touch()
        until(lambda: lengths(sqs)["mail"] == 0, "all are deleted")
        with batching.together():
            for number in range(25):
                sqs.publish("note", number)
        until(lambda: lengths(sqs)["mail"] == 0, "all are deleted")
        assert stop(worker) == 0
    assert proxy.calls["DeleteMessage"] == 0
    assert proxy.calls["DeleteMessageBatch"] <= 6


def test_a_long_poll_does_not_hold_up_an_orderly_stop(proxy: Proxy, tmp_path: Path) -> None:
    broker = queues.sqs(tmp_path, proxy.endpoint, prefix="longpoll-", wait=18)
    with broker.worker() as worker:
        until(lambda: proxy.calls["ReceiveMessage"], "it asks")
        worker.terminate()
        assert worker.wait(10) == 0
    broker.close()


def test_a_plain_celery_worker_reads_what_was_sent_together(sqs: Broker) -> None:
    with batching.together():
        for number in range(12):
            sqs.publish("note", number)
    with sqs.worker(broker_transport="sqs"):
        until(lambda: set(sqs.written()) == set(range(12)), "all arrived")


# --- the queues themselves --------------------------------------------------------------------------------------------
def test_queues_of_an_account_are_looked_at_and_never_made(server: Server) -> None:
    client = sqs_servers.client(server.endpoint)
    theirs = Plan(visibility=90, receives=5, make=False)
    with pytest.raises(QueueMissing, match="no SQS queue account-mail"):
        found(client, "account-mail", theirs)
    address = client.create_queue(QueueName="account-mail")["QueueUrl"]
    with pytest.raises(QueueMissing, match="redrive policy"):
        found(client, "account-mail", theirs)
    found(client, "account-mail", Plan(visibility=30, receives=5, make=True))  # as a template would
    with pytest.raises(QueueMissing, match="too shortly; 90 s"):
        found(client, "account-mail", theirs)
    client.set_queue_attributes(QueueUrl=address, Attributes={"VisibilityTimeout": "90"})
    assert found(client, "account-mail", theirs) == address


def test_making_queues_twice_changes_them_and_keeps_what_is_in_them(server: Server) -> None:
    client = sqs_servers.client(server.endpoint)
    address = found(client, "twice", Plan(visibility=30, receives=3, make=True))
    client.send_message(QueueUrl=address, MessageBody="kept")
    assert found(client, "twice", Plan(visibility=60, receives=4, make=True)) == address
    now = client.get_queue_attributes(QueueUrl=address, AttributeNames=["All"])["Attributes"]
    assert (now["VisibilityTimeout"], now["ApproximateNumberOfMessages"]) == ("60", "1")
    assert json.loads(now["RedrivePolicy"])["maxReceiveCount"] == "4"


# --- settings ---------------------------------------------------------------------------------------------------------
def test_the_settings_fit_the_work(server: Server, tmp_path: Path) -> None:
    """Those that an application with its broker in SQS really has."""
    ask = (
        "import json; import django; django.setup()\n"
        "from django.conf import settings as s; from config import outbox\n"
        "o = s.CELERY_BROKER_TRANSPORT_OPTIONS\n"
        "print(json.dumps([o['visibility_timeout'], o['wait_time_seconds'], o['receives'], outbox.CLAIM_SECONDS,"
        " s.CELERY_TASK_ACKS_LATE, s.CELERY_TASK_ACKS_ON_FAILURE, s.CELERY_TASK_REJECT_ON_WORKER_LOST]))"
    )
    environment = {**sqs_servers.environment(server.endpoint, tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
    told = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, check=True)
    visibility, wait, receives, claim, acks_late, acks_on_failure, reject = json.loads(told.stdout)
    assert claim < visibility < 10 * claim
    assert 10 <= wait < 20
    assert receives >= 3
    assert (acks_late, acks_on_failure, reject) == (True, False, True)

"""What carries the mails fails during a small load: messages come twice, the mail server refuses, a worker dies.
Afterwards everybody has both mails, and no acknowledged signup is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import boto3
import pytest

from tests.deadline import until
from tests.process.crowd import mails
from tests.survival.conftest import Stack
from tests.survival.steps import OUTAGE_SECONDS, UNSENT, came_through, crowd, outage, repeated

pytestmark = pytest.mark.process


def test_messages_that_come_twice_and_in_any_order_are_one_mail(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)

    variables = stack.environment
    queue = boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"], aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"]
    ).client("sqs", endpoint_url=variables["STAMPEDE_SQS_ENDPOINT"], region_name="eu-central-1")
    stack.stop("worker")
    with crowd(stack, tmp_path / "run"):
        pass
    # Who comes first makes the queue: the worker, if it got so far before it was stopped, or the first message.
    made = until(
        lambda: [url for url in queue.list_queues().get("QueueUrls", []) if url.endswith("/stampede-mail")],
        "the queue is made",
    )
    (url,) = made
    found = until(
        lambda: queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=1).get("Messages"),
        "messages wait in the queue",
    )
    for message in reversed(found):
        for _ in range(2):
            queue.send_message(QueueUrl=url, MessageBody=message["Body"])
    stack.start("worker")
    came_through(stack, tmp_path / "run")
    assert repeated(stack) == before


def test_a_mail_server_that_refuses_for_20_seconds_delays_mails_only(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)
    with crowd(stack, tmp_path / "run"):
        stack.layout.refusals.touch()
        outage(1)  # a mail that was on its way is there
        arrived = len(mails(stack))
        outage(OUTAGE_SECONDS - 1)
        assert len(mails(stack)) == arrived
        assert stack.count(UNSENT) > 0
        stack.layout.refusals.unlink()
    came_through(stack, tmp_path / "run")
    assert repeated(stack) == before


def test_a_worker_killed_in_the_middle_of_a_batch_loses_no_mail(stack: Stack, tmp_path: Path) -> None:
    before, sent = repeated(stack), len(mails(stack))
    with crowd(stack, tmp_path / "run"):
        until(lambda: len(mails(stack)) > sent, "mails are going out")
        stack.replaced("worker", stack.kill("worker"))
    came_through(stack, tmp_path / "run")
    # Between "the server took it" and "the row says so" a kill may repeat one mail per thread, under the same id.
    assert repeated(stack) <= before + 4


def test_a_worker_told_to_stop_finishes_what_it_has(stack: Stack, tmp_path: Path) -> None:
    before, sent = repeated(stack), len(mails(stack))
    with crowd(stack, tmp_path / "run"):
        until(lambda: len(mails(stack)) > sent, "mails are going out")
        stack.replaced("worker", stack.kill("worker", signal.SIGTERM))
    came_through(stack, tmp_path / "run")
    assert repeated(stack) == before

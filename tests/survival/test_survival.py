"""One part of the real stack after the other is taken away during a small load. Afterwards: no acknowledged signup is
lost, everybody has both mails, and the books are right."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.deadline import until
from tests.process.crowd import USERS, acknowledged, audited_clean, board, mails, run
from tests.survival.conftest import Stack

pytestmark = pytest.mark.process

OUTAGE_SECONDS = 20  # what the issue asks for, of SQS and SMTP
UNSENT = "SELECT COUNT(*) FROM ico_outboxmessage WHERE state <> 'sent'"
ENTRANTS = "SELECT COUNT(*) FROM ico_entrant"


@contextmanager
def crowd(stack: Stack, folder: Path, *more: str) -> Iterator[None]:
    """A load run; the block begins when it is in the middle."""
    with run(stack, "signup", folder, *more):
        until(lambda: len(acknowledged(folder)) > USERS // 4, "the run is in the middle")
        yield


def everybody_is_told(stack: Stack) -> None:
    """Numbered, invited, and both mails arrived."""
    until(lambda: board(stack)["last_number"] == stack.count(ENTRANTS), "everybody has a number")
    until(lambda: board(stack)["waiting"] == 0, "everybody is invited")
    until(lambda: stack.count(UNSENT) == 0, "no mail is waiting")
    assert len(set(mails(stack))) == 2 * stack.count(ENTRANTS)


def came_through(stack: Stack, *run_dirs: Path, share: float = 0.95) -> None:
    assert len(acknowledged(run_dirs[-1])) >= share * USERS, "most people got through"
    everybody_is_told(stack)
    audited_clean(stack, *run_dirs)


def repeated(stack: Stack) -> int:
    """How many mails so far arrived although the same one had arrived before."""
    arrived = mails(stack)
    return len(arrived) - len(set(arrived))


def outage(seconds: float) -> None:
    """Let a part be away for so long: the length of it is what is tested."""
    time.sleep(seconds)


def status(url: str, *, data: bytes | None = None) -> int:
    try:
        with urlopen(Request(url, data=data, headers={"Accept": "application/json"}), timeout=30) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


@contextmanager
def asking(question: Callable[[], int]) -> Iterator[Counter[int]]:
    """Somebody who asks again and again while the block runs; the answers, counted by status."""
    answers: Counter[int] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers[question()] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def test_a_killed_replica_is_not_noticed(stack: Stack, tmp_path: Path) -> None:
    with crowd(stack, tmp_path / "run"), asking(lambda: status(f"{stack.url}/")) as answers:
        stack.replaced("replica1", stack.kill("replica1"))
    assert set(answers) == {200}
    came_through(stack, tmp_path / "run", share=1)


def test_a_killed_primary_loses_nothing_that_was_acknowledged(stack: Stack, tmp_path: Path) -> None:
    # People come all the while, so that there are some before, between and after.
    load = crowd(stack, tmp_path / "run", "--duration", "40")
    with load, asking(lambda: status(f"{stack.url}/api/board")) as answers:
        stack.stop("primary")
        refused = status(f"{stack.url}/signup/", data=b"email=during@example.org")
        stack.start("primary")
        stack.replaced("primary", stack.kill("primary"))
    assert refused == 503
    assert set(answers) == {200}, "the board goes on"
    came_through(stack, tmp_path / "run", share=0.5)


def test_without_redis_it_is_right_and_afterwards_it_is_used_again(stack: Stack, tmp_path: Path) -> None:
    with crowd(stack, tmp_path / "run"), asking(lambda: status(f"{stack.url}/")) as answers:
        stack.stop("redis")
        until(lambda: len(acknowledged(tmp_path / "run")) > USERS // 2, "people sign up without it")
        stack.start("redis")
        stack.kill("redis")
    assert set(answers) == {200}
    came_through(stack, tmp_path / "run", share=1)


def test_a_flushed_redis_costs_nothing(stack: Stack, tmp_path: Path) -> None:
    import redis

    with crowd(stack, tmp_path / "run"), redis.Redis.from_url(stack.environment["STAMPEDE_REDIS_URL"]) as server:
        server.flushall()
    came_through(stack, tmp_path / "run", share=1)


def test_sqs_away_for_20_seconds_delays_mails_only(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)
    with crowd(stack, tmp_path / "run"):
        stack.stop("sqs")
        outage(OUTAGE_SECONDS)
    stack.start("sqs")
    came_through(stack, tmp_path / "run", share=1)
    assert repeated(stack) == before


def test_messages_that_come_twice_and_in_any_order_are_one_mail(stack: Stack, tmp_path: Path) -> None:
    import boto3

    before = repeated(stack)

    variables = stack.environment
    queue = boto3.session.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"], aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"]
    ).client("sqs", endpoint_url=variables["STAMPEDE_SQS_ENDPOINT"], region_name="eu-central-1")
    url = queue.get_queue_url(QueueName="stampede-mail")["QueueUrl"]
    stack.stop("worker")
    with crowd(stack, tmp_path / "run"):
        pass
    found = until(
        lambda: queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=1).get("Messages"),
        "messages wait in the queue",
    )
    for message in reversed(found):
        for _ in range(2):
            queue.send_message(QueueUrl=url, MessageBody=message["Body"])
    stack.start("worker")
    came_through(stack, tmp_path / "run", share=1)
    assert repeated(stack) == before


def test_a_mail_server_that_refuses_for_20_seconds_delays_mails_only(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)
    with crowd(stack, tmp_path / "run"):
        stack.layout.refusals.touch()
        outage(OUTAGE_SECONDS)
        stack.layout.refusals.unlink()
    came_through(stack, tmp_path / "run", share=1)
    assert repeated(stack) == before


def test_a_worker_killed_in_the_middle_of_a_batch_loses_no_mail(stack: Stack, tmp_path: Path) -> None:
    before, sent = repeated(stack), len(mails(stack))
    with crowd(stack, tmp_path / "run"):
        until(lambda: len(mails(stack)) > sent, "mails are going out")
        stack.replaced("worker", stack.kill("worker"))
    came_through(stack, tmp_path / "run", share=1)
    # Between "the server took it" and "the row says so" a kill may repeat one mail per thread, under the same id.
    assert repeated(stack) <= before + 4


def test_a_worker_told_to_stop_finishes_what_it_has(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)
    with crowd(stack, tmp_path / "run"):
        stack.replaced("worker", stack.kill("worker", signal.SIGTERM))
    came_through(stack, tmp_path / "run", share=1)
    assert repeated(stack) == before


def test_a_reloaded_web_server_drops_no_request(stack: Stack, tmp_path: Path) -> None:
    with (
        crowd(stack, tmp_path / "run"),
        asking(lambda: status(f"{stack.url}/api/openapi.json?{os.urandom(4).hex()}")) as answers,
    ):
        for _ in range(3):
            stack.kill("web", signal.SIGHUP)
            outage(1)
    assert set(answers) == {200}
    came_through(stack, tmp_path / "run", share=1)

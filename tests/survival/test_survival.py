"""One part of the real stack after the other is taken away during a small load. Afterwards: no acknowledged signup is
lost, everybody has both mails, and the books are right."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import boto3
import psutil
import pytest
import redis as redis_client

from tests.deadline import until
from tests.process.conftest import alive
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


def came_through(stack: Stack, run_dir: Path, *, share: float = 1) -> None:
    """Nothing that was promised is lost; and where `share` is 1, nobody noticed anything."""
    if share == 1:
        assert refusals(run_dir) == 0
    assert len(acknowledged(run_dir)) >= share * USERS, "people got through"
    everybody_is_told(stack)
    audited_clean(stack, run_dir)


def refusals(run_dir: Path) -> int:
    """How many requests of the load failed, and how many answers were untrue."""
    total = json.loads((run_dir / "run.json").read_text())["results"]["total"]
    return int(total["failure"]) + int(total["untrue"])


def ticket(run_dir: Path) -> str:
    """Of somebody who signed up before."""
    return str(json.loads(acknowledged(run_dir)[0])["ticket"])


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
        while not done.wait(0.05):
            answers[question()] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def page(stack: Stack, run_dir: Path) -> Callable[[], int]:
    """Asks for a private page, which no cache keeps and a query is made for. Answers with its status."""
    return lambda: status(f"{stack.url}/line/{ticket(run_dir)}/")


def test_a_killed_replica_is_not_noticed(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with crowd(stack, folder), asking(page(stack, folder)) as answers:
        stack.replaced("replica1", stack.kill("replica1"))
    assert set(answers) == {200}
    came_through(stack, folder)


def test_a_killed_primary_loses_nothing_that_was_acknowledged(stack: Stack, tmp_path: Path) -> None:
    # People come all the while, so that there are some before, between and after.
    load = crowd(stack, tmp_path / "run", "--duration", "40")
    behind_the_cache = f"http://127.0.0.1:{stack.layout.port('web')}/api/board"
    with load, asking(lambda: status(behind_the_cache)) as answers:
        stack.stop("primary")
        refused = status(f"{stack.url}/signup/", data=b"email=during@example.org")
        stack.start("primary")
        stack.replaced("primary", stack.kill("primary"))
    assert refused == 503
    assert set(answers) == {200}, "the board goes on"
    came_through(stack, tmp_path / "run", share=0.5)


def test_without_redis_it_is_right_and_afterwards_it_is_used_again(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with crowd(stack, folder), asking(page(stack, folder)) as answers, server(stack) as redis:
        stack.stop("redis")
        before = len(acknowledged(folder))
        until(lambda: len(acknowledged(folder)) > before + USERS // 4, "people sign up without it")
        stack.start("redis")
        stack.replaced("redis", stack.kill("redis"))
        until(redis.dbsize, "it is used again")
    assert set(answers) == {200}
    came_through(stack, folder)


def test_a_flushed_redis_costs_nothing(stack: Stack, tmp_path: Path) -> None:
    with crowd(stack, tmp_path / "run"), server(stack) as redis:
        assert redis.dbsize() > 0
        redis.flushall()
    came_through(stack, tmp_path / "run")


def server(stack: Stack) -> redis_client.Redis:
    return redis_client.Redis.from_url(stack.environment["STAMPEDE_REDIS_URL"])


def test_sqs_killed_and_away_for_20_seconds_delays_mails_only(stack: Stack, tmp_path: Path) -> None:
    before = repeated(stack)
    with crowd(stack, tmp_path / "run"):
        stack.kill("sqs")
        stack.stop("sqs")  # supervisor would have another one there at once
        outage(OUTAGE_SECONDS)
    assert stack.count(UNSENT) > 0, "mails waited for it"
    stack.start("sqs")
    came_through(stack, tmp_path / "run")
    assert repeated(stack) == before


def test_messages_that_come_twice_and_in_any_order_are_one_mail(stack: Stack, tmp_path: Path) -> None:
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


def test_a_reloaded_web_server_drops_no_request(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with crowd(stack, folder), asking(page(stack, folder)) as answers:
        for _ in range(3):
            before = web_processes(stack)
            stack.kill("web", signal.SIGHUP)
            until(lambda before=before: not before & web_processes(stack), "other web processes")
    assert set(answers) == {200}
    came_through(stack, folder)


def web_processes(stack: Stack) -> set[int]:
    return {process.pid for process in psutil.Process(stack.pid("web")).children() if alive(process)}

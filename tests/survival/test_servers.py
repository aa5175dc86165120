"""One server after the other is taken away during a small load. Afterwards: no acknowledged signup is lost, everybody
has both mails, and the books are right."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import redis as redis_client

from tests.deadline import until
from tests.process.conftest import alive
from tests.process.crowd import USERS, acknowledged
from tests.survival.conftest import Stack
from tests.survival.steps import (
    OUTAGE_SECONDS,
    UNSENT,
    asking,
    came_through,
    crowd,
    outage,
    page,
    repeated,
    status,
)

pytestmark = pytest.mark.process


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
        stack.kill_for_good("sqs")
        outage(OUTAGE_SECONDS)
    assert stack.count(UNSENT) > 0, "mails waited for it"
    stack.start("sqs")
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

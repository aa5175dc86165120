"""/healthz and /readyz: who is asked, what is told to whom, and how long it takes when nothing answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from config import depths, health, queues, writing
from config.asking import Question
from config.health import Check, Trouble
from config.replicas import Watch
from ico import board
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_questions", {})


@pytest.fixture
def ready(transactional_db: None, sale: Any, settings: Settings) -> None:
    if settings.BROKER == "sqs":
        queue = settings.SQS_PREFIX + settings.CELERY_TASK_DEFAULT_QUEUE
        queues.found(depths._client(), queue, queues.plan(settings.CELERY_BROKER_TRANSPORT_OPTIONS))
    Path(settings.QUEUE_DIR, "messages").mkdir(parents=True, exist_ok=True)
    board.publish(sale.pk)


def ask(**headers: str) -> tuple[int, dict[str, Any]]:
    response = Client(headers=headers).get("/readyz")
    assert response["Cache-Control"] == "no-store"
    return response.status_code, response.json()


def test_it_is_ready_when_everything_answers(ready: None) -> None:
    status, told = ask()
    assert (status, told["status"]) == (200, "ready")
    assert set(told["checks"]) >= {"database", "cache", "broker", "board"}
    assert all(part["ok"] and part["detail"] for part in told["checks"].values())


def test_a_stranger_learns_no_detail(ready: None, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    _, told = ask(x_forwarded_for="203.0.113.7")
    assert {name: set(part) for name, part in told["checks"].items()} == {name: {"ok"} for name in told["checks"]}
    _, told = ask(x_forwarded_for="127.0.0.5")  # the negative control: one of our own behind the same proxy
    assert all("detail" in part for part in told["checks"].values())


@pytest.mark.parametrize(
    ("needed", "error", "status", "summary", "detail"),
    [
        (True, Trouble("it is asleep"), 503, "unready", "it is asleep"),
        (False, Trouble("it is asleep"), 200, "degraded", "it is asleep"),
        (True, OperationalError(1040, "Too many connections"), 503, "unready", "it has too many connections"),
        (True, TimeoutError(), 503, "unready", "TimeoutError"),
    ],
)
def test_what_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, needed: bool, error: Exception, status: int, summary: str, detail: str
) -> None:
    def fails() -> str:
        raise error

    monkeypatch.setattr(health, "checks", lambda: [Check("fine", lambda: "yes"), Check("odd", fails, needed)])
    code, told = ask()
    assert (code, told["status"]) == (status, summary)
    assert told["checks"]["fine"] == {"ok": True, "detail": "yes"}
    assert told["checks"]["odd"]["ok"] is False
    assert detail in told["checks"]["odd"]["detail"]


def test_a_board_that_nobody_renews_degrades(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ico.health.OLD_SECONDS", -1)
    status, told = ask()
    assert (status, told["status"], told["checks"]["board"]["ok"]) == (200, "degraded", False)


def test_a_primary_whose_writers_wait_in_vain_is_not_called_well(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_hung_at", time.monotonic())
    status, told = ask()
    assert (status, told["checks"]["database"]["ok"]) == (503, False)
    assert "a write of this process has waited in vain" in told["checks"]["database"]["detail"]


def test_the_broker_is_asked_no_oftener_than_for_the_metrics(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    asked: list[int] = []
    monkeypatch.setattr(depths, "depths", lambda: asked.append(1) or [("q", "waiting", 3)])  # type: ignore[func-returns-value]
    assert [health._broker() for _ in range(3)] == ["3 waiting in q"] * 3
    assert asked == [1]


def test_without_a_primary_no_replica_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    watch = Watch(["one", "two"], max_lag=2, clock=lambda: now[0])
    monkeypatch.setattr(health, "watch", watch)
    watch.saw_primary("0-1-5", 0.0)
    for alias in ("one", "two"):
        watch.saw(alias, "0-1-5")
    assert health._replicas() == "2 follow"
    now[0] = 600.0
    with pytest.raises(Trouble, match="one: behind; two: behind"):
        health._replicas()
    watch.failed("default", "gone")
    assert health._replicas() == "2 answer, without a primary to follow"
    watch.failed("two", "gone")
    with pytest.raises(Trouble, match=r"^two: gone$"):
        health._replicas()


_ASK_ALL = """
import json, time, django
django.setup()
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.get("/healthz")
began = time.monotonic()
answers = [client.get("/readyz") for _ in range(2)]
print(json.dumps([time.monotonic() - began, [answer.status_code for answer in answers], answers[0].json()]))
"""


def test_it_answers_within_two_seconds_when_everything_is_silent(tmp_path: Path) -> None:
    """A primary, a Redis and an SQS that take the connection and never say a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "STAMPEDE_DATA": str(tmp_path),
            "STAMPEDE_DATABASE_URL": f"mysql://someone:SECRET@{address}/stampede",
            "STAMPEDE_REDIS_URL": f"redis://:SECRET@{address}/0",
            "STAMPEDE_BROKER": "sqs",
            "STAMPEDE_SQS_ENDPOINT": f"http://{address}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "SECRET",
        }
        command = [sys.executable, "-W", "ignore", "-c", _ASK_ALL]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    seconds, codes, told = json.loads(done.stdout.splitlines()[-1])
    assert codes == [503, 503]
    assert seconds < 2 * health.ANSWER_SECONDS + 1
    assert {name: part["ok"] for name, part in told["checks"].items()} == {
        "database": False, "cache": False, "broker": False, "board": False
    }  # fmt: skip
    assert "SECRET" not in done.stdout + done.stderr


def test_one_that_hangs_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others' answers are older than is fresh by the time that the one which hangs has been given up."""
    hold = threading.Event()
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.3)
    parts = [Check("hangs", lambda: str(hold.wait(30)), needed=True), Check("fine", lambda: "yes")]
    monkeypatch.setattr(health, "checks", lambda: parts)
    try:
        _, told = ask()
    finally:
        hold.set()
    assert {name: part["ok"] for name, part in told["checks"].items()} == {"hangs": False, "fine": True}


# --- asking -----------------------------------------------------------------------------------------------------------
def test_many_who_ask_cost_one_question() -> None:
    asked: list[int] = []
    question = Question(lambda: asked.append(1), fresh_seconds=60)
    for _ in range(5):
        assert question.answer(within=5).known
    assert asked == [1]


def test_a_question_that_hangs_is_asked_once_and_waited_for_no_longer_than_one_likes() -> None:
    release, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        release.wait(30)
        return "at last"

    question = Question(hang, fresh_seconds=0)
    began = time.monotonic()
    assert isinstance(question.answer(within=0.1).outcome, TimeoutError)
    assert isinstance(question.answer(within=0).outcome, TimeoutError)
    assert time.monotonic() - began < 1
    assert asked == [1]
    release.set()
    assert question.answer(within=10).value == "at last"


def test_an_error_is_an_answer_and_the_next_one_is_asked_for_anew() -> None:
    outcomes = iter([Trouble("no"), None])

    def ask_twice() -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "yes"

    question = Question(ask_twice, fresh_seconds=0)
    assert not question.answer(within=5).known
    assert until(lambda: question.answer(within=5), "an answer").value == "yes"


def test_a_connection_that_cannot_be_closed_does_not_keep_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unclosable() -> None:
        raise SystemError("returned NULL without setting an exception")

    monkeypatch.setattr("config.asking.connections.close_all", unclosable)
    question = Question(lambda: "yes", fresh_seconds=0)
    assert [question.answer(within=10).value for _ in range(2)] == ["yes", "yes"]

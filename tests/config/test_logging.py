"""Log lines: whose they are, what they never say, and how a machine reads them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config import logging as log_lines
from config.celery import app
from config.requests import RequestIdMiddleware
from ico.models import OutboxMessage, Sale
from tests.ico.conftest import join

ROOT = Path(__file__).resolve().parents[2]
TICKET = "h1.7.Zm9vYmFyYmF6-_"


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("ico.waitlist", logging.INFO, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def as_json(one: logging.LogRecord) -> dict[str, object]:
    log_lines.Redact().filter(one)
    line = log_lines.Json().format(one)
    assert "\n" not in line
    return dict(json.loads(line))


# --- whose they are ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "kept"),
    [("from-nginx.1_2", True), ("short", False), ("a" * 65, False), ("with space", False), ("", False)],
)
def test_a_request_has_an_id_while_it_runs_and_says_it(given: str, kept: bool) -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(log_lines.request_id())
        return HttpResponse()

    answer = RequestIdMiddleware(view)(RequestFactory().get("/", headers={"x-request-id": given}))
    assert seen == [answer["X-Request-ID"]]
    assert (answer["X-Request-ID"] == given) is kept
    assert log_lines.request_id() == ""


def test_a_view_that_raises_leaves_no_id_behind() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RequestIdMiddleware(view)(RequestFactory().get("/"))
    assert log_lines.request_id() == ""


def test_threads_do_not_mix_their_ids() -> None:
    both, seen = threading.Barrier(2), {}

    def answer(name: str) -> None:
        with log_lines.caused_by(name):
            both.wait(10)
            seen[name] = log_lines.request_id()
            both.wait(10)

    threads = [threading.Thread(target=answer, args=[name]) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"one": "one", "other": "other"}


def test_a_task_bears_its_messages_id_and_a_tick_gets_one_of_its_own() -> None:
    @app.task(name="tests.probe")
    def probe() -> tuple[str, str]:
        return log_lines.task_id(), log_lines.request_id()

    try:
        assert probe.apply(task_id="message-1").get() == ("message-1", "message-1")
        first, second = probe(), probe()
    finally:
        del app.tasks["tests.probe"]
    assert len({*first, *second}) == 2
    assert log_lines.task_id() == log_lines.request_id() == ""


def test_a_mail_keeps_the_id_of_the_signup_that_caused_it(sale: Sale) -> None:
    with log_lines.caused_by("signup-1"):
        join(sale, "ann@example.org")
    assert OutboxMessage.objects.get().request_id == "signup-1"


# --- how they look ----------------------------------------------------------------------------------------------------
def test_a_line_for_people_ends_with_the_id() -> None:
    line = log_lines.Line("%(levelname)s %(message)s")
    with log_lines.caused_by("request-1"):
        assert line.format(record("place %d was taken", 7)) == "INFO place 7 was taken [request-1]"
    assert line.format(record("hello")) == "INFO hello"


def test_a_line_for_machines_says_who_and_what() -> None:
    with log_lines.task("task-1"), log_lines.caused_by("request-1"):
        line = as_json(record("mail %s was sent", "place:7", fields={"mail": "place:7"}))
    assert datetime.fromisoformat(str(line.pop("time"))).tzinfo is not None
    assert line == {
        "level": "INFO",
        "logger": "ico.waitlist",
        "message": "mail place:7 was sent",
        "request_id": "request-1",
        "task_id": "task-1",
        "mail": "place:7",
    }
    assert set(as_json(record("hello"))) == {"time", "level", "logger", "message"}


def test_an_exception_is_one_field_of_one_line_without_keys() -> None:
    try:
        raise ValueError(f"GET /line/{TICKET}/ went wrong\nin two lines")
    except ValueError:
        failed = record("it failed", exc_info=sys.exc_info())
    line = as_json(failed)
    assert "ValueError: GET /line/…/ went wrong\nin two lines" in str(line["exception"])
    assert TICKET not in str(line)


def test_no_key_in_a_message_and_none_in_a_field() -> None:
    line = as_json(record("GET /i/%s/wallet/", TICKET, fields={"path": f"/api/position/{TICKET}"}))
    assert (line["message"], line["path"]) == ("GET /i/…/wallet/", "/api/position/…")


def test_the_settings_choose_the_format(tmp_path: Path) -> None:
    script = "import django; django.setup(); import logging; logging.getLogger('x').warning('one %s', 'two')"
    environment = {
        **os.environ,
        "STAMPEDE_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "STAMPEDE_LOG_FORMAT": "json",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stderr)["message"] == "one two"

"""A Celery application whose tasks write down that they ran, on a broker that is told it as JSON. The tests publish
with it, and real workers run it: `python -m celery -A tests.contracts.notebook worker`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Queue

LONGEST_WAIT_SECONDS = 60


def application(broker: dict[str, Any]) -> Celery:
    """`broker`: Celery's settings of it. Everything else is as in `config/settings.py`."""
    made = Celery("notebook", set_as_current=False)
    on_folder = broker["broker_url"].startswith("folder")
    usual = {
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_acks_on_failure": on_folder,
        "task_acks_on_timeout": on_folder,
        "task_reject_on_worker_lost": True,
        "task_default_queue": "mail",
        "task_queues": (Queue("mail", no_declare=True),),
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "broker_connection_retry_on_startup": True,
    }
    made.conf.update({**usual, **broker})
    for task in (note, slow, fail):
        made.task(name=f"notebook.{task.__name__}")(task)
    return made


def note(number: int, ballast: str = "") -> None:
    _write("done", number)


def slow(number: int) -> None:
    _write("begun", number)
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not (_folder() / "go on").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    _write("done", number)


def fail(number: int) -> None:
    _write("begun", number)
    raise ValueError(f"number {number} always fails")


def _folder() -> Path:
    return Path(os.environ["NOTEBOOK"])


def _write(page: str, number: int) -> None:
    # One write to a file opened for appending: lines of several workers do not mix.
    with open(_folder() / page, "a") as file:
        file.write(f"{number}\n")


if "NOTEBOOK_BROKER" in os.environ:
    app = application(json.loads(os.environ["NOTEBOOK_BROKER"]))

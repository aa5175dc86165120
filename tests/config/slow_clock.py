"""A clock whose ticks last until a file appears: what `test_clock` sends SIGTERM to."""

import os
import time
from datetime import timedelta
from pathlib import Path

from celery import Celery

FOLDER = Path(os.environ.get("SLOW_CLOCK", "."))
app = Celery("slow-clock", broker="memory://")
app.conf.beat_scheduler = "config.clock:Scheduler"
app.conf.beat_schedule = {"slow": {"task": "slow.tick", "schedule": timedelta(seconds=0.05)}}


@app.task(name="slow.tick")
def tick() -> None:
    _note("begun")
    deadline = time.monotonic() + 20
    while not (FOLDER / "go on").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # longer than the process would need to end without us
    _note("finished")


def _note(what: str) -> None:
    with open(FOLDER / what, "a") as file:
        file.write("tick\n")

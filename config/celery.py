"""The Celery application of workers and clock. What runs when stands in `settings.CELERY_BEAT_SCHEDULE`."""

import os
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging

from config import logging as log_lines


class KnownTask(Task):  # type: ignore[type-arg]  # generic in its stubs alone
    """A task whose log lines bear its id; called directly, as the clock does, it gets one of its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with log_lines.task(self.request.id or ""):
            return super().__call__(*args, **kwargs)


@setup_logging.connect
def _as_django_has_it(**_: Any) -> None:
    """Whoever listens here sets logging up; Django has, by its settings, and Celery's own would change the level."""


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("stampede", task_cls=KnownTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

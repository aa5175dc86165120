"""gunicorn's settings, for one machine and for a server alike. Figures behind them: docs/decisions/0010."""

import os
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from config import counting, settings

bind = os.environ.get("STAMPEDE_BIND", "127.0.0.1:8000")
workers = settings.WEB_WORKERS
worker_class = "gthread"
threads = settings.WEB_THREADS
backlog = 4096
keepalive = 60  # longer than nginx keeps its side (55 s): who sends must be the one who closes
graceful_timeout = 25  # shorter than what stops it waits (30 s and more)
timeout = 60
max_requests = 0  # no recycling: workers do not grow
preload_app = False  # a worker that is replaced must not share a database handle with its parent
accesslog = None  # addresses hold tickets and tokens; the application logs what may be known
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def child_exit(server: object, worker: Any) -> None:
    """What a worker said of itself alone (live gauges) ends with it; what it counted stays."""
    if counting.FOLDER in os.environ:
        mark_process_dead(counting.name(worker.pid))  # type: ignore[no-untyped-call]

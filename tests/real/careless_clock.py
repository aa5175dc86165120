"""The application's clock without its look at the connections: the negative control of `test_clock`."""

from config import clock
from config.celery import app as app

clock.close_old_connections = lambda: None  # type: ignore[attr-defined, assignment]

"""Transactions: run again when the database gave one up for another, and reading everything as of one moment.

The order in which rows are locked is docs/decisions/0011. It keeps our own transactions from waiting for each other in
a circle; the database may still choose a victim (two inserts under one unique key, indexes locked on the way), so
whoever must not fail for that is `retried`.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

from config.faults import number

logger = logging.getLogger(__name__)

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205  # MariaDB's and MySQL's numbers
# A deadlock is found at once; who has waited for a lock until the time-out has kept a visitor waiting long enough.
ATTEMPTS = {DEADLOCK: 6, LOCK_WAIT_TIMEOUT: 2}
FIRST_PAUSE_SECONDS = 0.005

P = ParamSpec("P")
T = TypeVar("T")


def retried(work: Callable[P, T]) -> Callable[P, T]:
    """Run `work` as one transaction, and from its beginning again if the database rolled it back in favour of another.

    `work` may touch nothing but the database, and must read anew whatever it decides from. Called inside a transaction
    it is a part of that one, which is then gone as a whole: the error passes, and the outermost is the one to retry.
    """

    @wraps(work)
    def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        attempt = 1
        while True:
            try:
                with transaction.atomic():
                    return work(*args, **kwargs)
            except OperationalError as error:
                if connection.in_atomic_block or attempt >= ATTEMPTS.get(number(error), 1):
                    raise
                logger.info("%s is run again: %s", work.__qualname__, error)
            # Rivals that fell over each other must not meet again at the same moment.
            time.sleep(FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
            attempt += 1

    return whole


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that reads and never writes: every query in it sees what was committed when the first one ran, and
    nobody waits for it. Inside another transaction it is a part of that one, and sees what that one sees."""
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
    elif connection.vendor == "mysql":
        with transaction.atomic():
            _take_snapshot()
            yield
    else:
        with _without_write_lock(), transaction.atomic():
            yield


def _take_snapshot() -> None:
    """Our transactions are READ COMMITTED, where each statement has a moment of its own; this one alone is not."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


@contextmanager
def _without_write_lock() -> Iterator[None]:
    """Our transactions on SQLite begin by taking the write lock, which a reader must not."""
    connection.ensure_connection()  # the mode is an attribute that connecting sets
    usual = getattr(connection, "transaction_mode", None)
    setattr(connection, "transaction_mode", "DEFERRED")  # noqa: B010 (SQLite's wrapper alone has it)
    try:
        yield
    finally:
        setattr(connection, "transaction_mode", usual)  # noqa: B010

"""Marks of who wrote: the position of a person's last write, in the shared cache, so that no cookie is needed.

A mark that cannot be written or read, or may have been lost, leads the person to the primary: right, and slower. The
cache holds beside the marks the moment since when it has been holding them; when that is missing the cache was emptied,
and for as long as a replica may be behind nobody's marks are trusted.
"""

import logging
import time
from collections.abc import Collection
from functools import partial
from hashlib import sha256

from django.conf import settings
from django.core.cache import caches
from django.db import connection, transaction

from config.faults import words
from config.replicas import Position, position

logger = logging.getLogger(__name__)

_SINCE = "wrote:since"
# A replica that is further behind than the maximal lag is not read from, so a mark is needed for little longer.
_KEPT_SECONDS = settings.REPLICA_MAX_LAG + 60
_SETTLED_SECONDS = settings.REPLICA_MAX_LAG + 2
_one_was_lost = False


def wrote(*persons: str) -> None:
    """Mark these persons as writers, when the surrounding transaction is committed (at once outside of one). A person
    is named by what is known of everybody, like "entrant:5"."""
    if settings.REPLICAS:
        transaction.on_commit(partial(_mark, persons))


def of(persons: Collection[str]) -> list[Position] | None:
    """The positions that these persons must be shown; None when that cannot be known."""
    if not persons:
        return []
    try:
        _distrust_if_one_was_lost()
        found = caches["marks"].get_many([_SINCE, *map(_key, persons)])
        since = found.pop(_SINCE, None)
        if since is None:
            caches["marks"].add(_SINCE, time.time(), timeout=None)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with the cache, the primary is right)
        logger.debug("marks cannot be read: %s", words(error))
        return None
    if since is None or time.time() - since < _SETTLED_SECONDS:
        return None
    return [position(gtid) for gtid in found.values()]


def _mark(persons: tuple[str, ...]) -> None:
    """What is committed is acknowledged, so nothing that fails here may make it look otherwise."""
    global _one_was_lost
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@last_gtid")
            (gtid,) = cursor.fetchone()
        _distrust_if_one_was_lost()
        caches["marks"].set_many({_key(person): gtid for person in persons}, timeout=_KEPT_SECONDS)
    except Exception as error:  # noqa: BLE001 (errors of the database and of any cache; see above)
        _one_was_lost = True
        logger.warning("a writer could not be marked: %s", words(error))


def _distrust_if_one_was_lost() -> None:
    global _one_was_lost
    if _one_was_lost:
        caches["marks"].set(_SINCE, time.time(), timeout=None)
        _one_was_lost = False


def _key(person: str) -> str:
    """Not the person's own name: what names an invitation or a session would open it."""
    return f"wrote:{sha256(person.encode()).hexdigest()}"

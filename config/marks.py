"""Marks of who wrote: the position of a person's last write, in the shared cache, so that no cookie is needed.

A mark that cannot be read, or may have been lost, leads the person to the primary: right, and slower. One that cannot
be written makes the writer wait until the replicas hold the write. The
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
from config.replicas import Position, holds, position

logger = logging.getLogger(__name__)

_SINCE = "wrote:since"
# A replica that is further behind than the maximal lag is not read from, so a mark is needed for little longer. But a
# full Redis throws away what ends soonest, and limits that anybody can make many of end after two minutes.
_KEPT_SECONDS = settings.REPLICA_MAX_LAG + 180
_SETTLED_SECONDS = settings.REPLICA_MAX_LAG + 2
_WAIT_SECONDS = min(settings.REPLICA_MAX_LAG, 2.0)  # a thread is held as long
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
    gtid = None
    try:
        gtid = _last_write()
        if gtid:
            _store(persons, gtid)
    except Exception as error:  # noqa: BLE001 (errors of the database and of any cache; see above)
        _go_without(persons, gtid, error)


def _last_write() -> str:
    """The position of this connection's last write; "" when it has made none, so that there is nothing to mark."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@last_gtid")
        (gtid,) = cursor.fetchone()
    return str(gtid or "")


def _store(persons: tuple[str, ...], gtid: str) -> None:
    """A person's mark never goes back: what this connection wrote last may be older than what another one marked."""
    _distrust_if_one_was_lost()
    keys, reached = [_key(person) for person in persons], position(gtid)
    known = caches["marks"].get_many(keys)
    behind = {key: gtid for key in keys if key not in known or not holds(position(known[key]), reached)}
    if behind:
        caches["marks"].set_many(behind, timeout=_KEPT_SECONDS)


def _go_without(persons: tuple[str, ...], gtid: str | None, error: Exception) -> None:
    """Other processes may read from the cache that this one could not write to, and find an older mark or none. So the
    answer waits until the write can be read anywhere; when that takes too long, the cache is asked once more, though it
    has just failed, and told that for a while nobody's marks are to be trusted."""
    from config.database import watch  # here, for it imports this module

    global _one_was_lost
    if not _one_was_lost:
        logger.warning("writers are not marked, and their answers wait for the replicas: %s", words(error))
    _one_was_lost = True
    if gtid and watch.wait_until_held(gtid, seconds=_WAIT_SECONDS):
        return
    try:
        with caches["marks"].insisting():  # type: ignore[attr-defined]  # of `config.cache.CountingCache`
            _distrust_if_one_was_lost()
            if gtid:
                _store(persons, gtid)
    except Exception as again:  # noqa: BLE001 (as above)
        _one_was_lost = True
        logger.debug("a writer could not be marked: %s", words(again))


def _distrust_if_one_was_lost() -> None:
    global _one_was_lost
    if _one_was_lost:
        _one_was_lost = False  # before: one that is lost meanwhile is told of once more
        try:
            caches["marks"].set(_SINCE, time.time(), timeout=None)
        except BaseException:
            _one_was_lost = True
            raise
        logger.warning("writers are marked again")


def _key(person: str) -> str:
    """Not the person's own name: what names an invitation or a session would open it."""
    return f"wrote:{sha256(person.encode()).hexdigest()}"

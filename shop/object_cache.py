"""Objects below the pages: what several pages are made of (the menu, a shelf's ids, a product's facts).

Kept in Django's default cache, on the stack shared by all machines. A key carries the versions of its tags
(`changes.Watch.versions`), so an object from before a change is not found by whoever has heard of the change: a page
that is made anew is never made of it. What is only older than its seconds is used while one process makes it anew.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS

from config import database
from shop import changes
from shop.caching.cache_counters import OBJECT_AGE, OBJECTS
from shop.caching.making import TakesTooLong, Together

T = TypeVar("T")
_together = Together[Any]()
LOCK_SECONDS = 10  # how long making an object may take before somebody else makes it as well
# How much longer than its seconds an object is kept, to be used meanwhile. Far less than the hour for which a process
# that begins is told what changed: a key of its own first hour must not find what is older than that.
OLD_SECONDS = 300


def get(name: str, *, tags: Iterable[str], seconds: float, make: Callable[[], T]) -> T:
    """`make()`, or what it returned to whichever process up to `seconds` ago (at most 1,800), if nothing with one of
    these tags was changed since. The object must survive JSON as it is: lists and not tuples, text and not numbers as
    keys. `name` is like `shelf:17:popular`; up to the first colon it is told to Prometheus.

    A process that does not hear of changes makes it each time; so does everybody while there is no cache.
    """
    kind = name.partition(":")[0]
    if changes.watch.looked_at is None or changes.watch.is_behind():
        OBJECTS.labels(kind, "miss").inc()
        return make()
    key = f"shop:{name}:{_version(tags)}"
    known = cache.get(key)
    age = None if known is None else max(0.0, time.time() - known[0])
    if age is not None and age < seconds:
        return cast(T, _found(kind, "hit", known, age))
    lock = f"{key}:making"
    mine = cache.add(lock, 1, timeout=LOCK_SECONDS)
    if age is not None and not mine:
        return cast(T, _found(kind, "stale", known, age))
    OBJECTS.labels(kind, "miss").inc()
    try:
        return _together.make(key, partial(_make, key, seconds=seconds, make=make))  # type: ignore[no-any-return]
    except TakesTooLong:
        return make()
    finally:
        if mine:
            cache.delete(lock)


def _make(key: str, *, seconds: float, make: Callable[[], T]) -> T:
    """From the primary: a replica may lack the change whose version is in the key."""
    if settings.REPLICAS and database.watch.is_gone(DEFAULT_DB_ALIAS):
        return make()
    with database.primary("kept object"):
        made_at, value = time.time(), make()
    cache.set(key, [made_at, value], timeout=seconds + OLD_SECONDS)
    return value


def _found(kind: str, result: str, known: Any, age: float) -> Any:
    OBJECTS.labels(kind, result).inc()
    OBJECT_AGE.labels(kind).observe(age)
    return known[1]


def _version(tags: Iterable[str]) -> str:
    """Of all these tags together, as far as this process has heard."""
    versions = changes.watch.versions
    said = " ".join(f"{tag}={versions.get(tag, 0)}" for tag in sorted(set(tags)))
    return blake2b(said.encode(), digest_size=8).hexdigest()

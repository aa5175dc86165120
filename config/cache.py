"""The cache: whatever it holds may be missing at any moment, and everything is still right without it.

On one machine it is a folder of files, else Redis (`config/redis_cache.py`). Nothing lives in it alone: sessions are
rows of the database, marks of what somebody wrote lead to the primary when they are missing, and locks that something
correct depends on are rows, too, because a lock must not be forgotten when a cache is emptied. The one lock here only
spares work: see `remembered`.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.filebased import FileBasedCache

from config.metrics import CACHE

T = TypeVar("T")
LOCK_SECONDS = 10  # how long making a value may take before somebody else makes it as well
KEPT_SECONDS = 600  # how long an old value may be shown while nobody has made a new one
_MISSING = object()


class CountingCache(BaseCache):
    """Counts what was found and what was not, by the cache's alias. Put before the class that holds the values."""

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(location, params)  # type: ignore[call-arg]  # of the class that holds the values
        alias = params.get("ALIAS", "default")
        self.hits = CACHE.labels(alias, "hit")
        self.misses = CACHE.labels(alias, "miss")

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = super().get(key, _MISSING, version)
        (self.misses if found is _MISSING else self.hits).inc()
        return default if found is _MISSING else found

    def insisting(self) -> AbstractContextManager[None]:
        """Within it the server is asked even if it has just failed. A folder has no breaker."""
        return nullcontext()


class FileCache(CountingCache, FileBasedCache):
    """The embedded default: files in the data folder. A counter is not exact, for a file has no atomic increment."""


def remembered(name: str, *, seconds: float, make: Callable[[], T]) -> T:
    """`make()`, or what it returned up to so many seconds ago, to whichever process. When the time is over one process
    makes the value anew and the others take the old one meanwhile; on Redis exactly one, as `add` is atomic there.

    The value must survive JSON. Without a cache everybody makes it: right, and slower.
    """
    known = cache.get(name)
    now = time.time()
    if known is not None and now - known[0] < seconds:
        return known[1]  # type: ignore[no-any-return]
    lock = f"{name}:making"
    mine = cache.add(lock, 1, timeout=LOCK_SECONDS)
    if known is not None and not mine:
        return known[1]  # type: ignore[no-any-return]
    try:
        value = make()
        cache.set(name, [now, value], timeout=KEPT_SECONDS)
    finally:
        if mine:
            cache.delete(lock)
    return value

"""The cache on Redis, by django-redis, with two answers of its own to a Redis that does not answer.

The alias "default" swallows it: nothing is found, nothing is stored, nothing is counted. The alias "marks" raises.
Under both, a Redis that has just failed is left alone for a second: one that is connected and silent costs the time-out
of one call a second, not of every call of every request.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import redis
from django_redis.cache import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.cache import CountingCache

logger = logging.getLogger(__name__)
REST_SECONDS = 1.0
UNAVAILABLE = (RedisError, OSError)
_insists: ContextVar[bool] = ContextVar("insists", default=False)


class LeftAlone(redis.ConnectionError):
    """Redis failed less than a second ago and was not asked again."""


class Breaker:
    """Whether Redis may be asked. Says once in the log that it went away, and once that it is back."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._away = False
        self._rests_until = 0.0

    def pause(self) -> bool:
        """True while it must be left alone. After the rest one caller goes and tries; the others wait for its news."""
        if not self._away:
            return False
        with self._lock:
            now = self._clock()
            if self._away and now < self._rests_until:
                return True
            self._rests_until = now + REST_SECONDS
            return False

    def failed(self, error: Exception) -> None:
        with self._lock:
            self._rests_until = self._clock() + REST_SECONDS
            first, self._away = not self._away, True
        if first:
            # without the address: it may hold a password, and there is one Redis only
            logger.warning("Redis does not answer (%s); going on without it, right and slower", type(error).__name__)

    def answered(self) -> None:
        if not self._away:
            return
        with self._lock:
            back, self._away = self._away, False
        if back:
            logger.warning("Redis answers again")


class Pool(redis.ConnectionPool):
    """Connections of this process to one Redis, all threads together, and whether it may be asked."""

    def __init__(self, **kwargs: Any) -> None:
        # A connection from before a restart is dead although Redis is well: once more, at once, on a new one. Not
        # after a time-out, which would cost the time twice; and by itself this client would wait between tries.
        kwargs["retry"] = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        super().__init__(**kwargs)
        self.breaker = Breaker()


class Client(redis.Redis):
    """A client that leaves a Redis alone which has just failed."""

    connection_pool: Pool

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return _guarded(self.connection_pool.breaker, super().execute_command, *args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "Commands":
        return Commands(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class Commands(redis.client.Pipeline):
    """Several commands in one go."""

    connection_pool: Pool

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        return _guarded(self.connection_pool.breaker, super().execute, raise_on_error)  # type: ignore[no-any-return]


def _guarded(breaker: Breaker, ask: Any, *args: Any, **options: Any) -> Any:
    if breaker.pause() and not _insists.get():
        raise LeftAlone("Redis did not answer a moment ago")
    try:
        answer = ask(*args, **options)
    except UNAVAILABLE as error:
        breaker.failed(error)
        raise
    breaker.answered()
    return answer


class MarksCache(CountingCache, RedisCache):  # type: ignore[misc]  # django-redis has no types
    """Raises one of `UNAVAILABLE` when Redis does not answer."""

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        keys = list(keys)
        found: dict[Any, Any] = super().get_many(keys, version)
        # elsewhere Django asks for one key after the other, and each is counted
        self.hits.inc(len(found))
        self.misses.inc(len(keys) - len(found))
        return found

    @contextmanager
    def insisting(self) -> Iterator[None]:
        """Within it Redis is asked even if it has just failed: for what must not be lost, as it may cost a time-out."""
        before = _insists.set(True)
        try:
            yield
        finally:
            _insists.reset(before)


class DefaultCache(MarksCache):
    """Never raises because of Redis. With settings' IGNORE_EXCEPTIONS django-redis answers None where Django promises
    a truth value or a number; here it is False, and for a counter the `ValueError` of a key that is not there."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        return bool(super().add(*args, **kwargs))

    def touch(self, *args: Any, **kwargs: Any) -> bool:
        return bool(super().touch(*args, **kwargs))

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return bool(super().delete(*args, **kwargs))

    def has_key(self, *args: Any, **kwargs: Any) -> bool:
        return bool(super().has_key(*args, **kwargs))

    def incr(self, *args: Any, **kwargs: Any) -> int:
        return _counted(super().incr(*args, **kwargs))

    def decr(self, *args: Any, **kwargs: Any) -> int:
        return _counted(super().decr(*args, **kwargs))


def _counted(value: int | None) -> int:
    if value is None:
        raise ValueError("Redis does not answer, so nothing was counted")
    return value

"""Which database a query goes to, and what the answer says of it: replica routing, read-your-writes, provenance.

Replicas serve safe requests (GET, HEAD) of the web tier and nothing else; what writes, decides or runs in the
background is on the primary. A request reads from one replica, so that it sees one state. Whoever wrote is marked in
the cache with the position of the write (`wrote`); later requests of the same person (`reading_as`) go to a replica
that is known to hold that position, else to the primary. A person is named by what they hold - a ticket, an invitation,
a session - and that needs no cookie of its own. See docs/decisions/0012.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed, ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, Error, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_max_age

from config import marks
from config.faults import is_gone
from config.marks import wrote
from config.metrics import PRIMARY_READS, QUERIES, UNEXPECTED_QUERIES
from config.replicas import Watch

__all__ = ["as_of", "primary", "reading_as", "remembered", "surely", "watch", "wrote"]

GetResponse = Callable[[HttpRequest], HttpResponseBase]
T = TypeVar("T")
_SHARED = re.compile(r"s-maxage=(\d+)")  # how long nginx may keep it, where browsers may for another time
logger = logging.getLogger(__name__)

watch = Watch(settings.REPLICAS, max_lag=settings.REPLICA_MAX_LAG)


class Reading:
    """What one safe request reads from, and how old the oldest part is that it shows (source and
    seconds, None when not known)."""

    def __init__(self) -> None:
        self.persons: set[str] = set()
        self.alias: str | None = None  # decided by the first query
        self.reason = ""  # why the primary is right at this moment
        self.asked: set[str] = set()
        self.gone = ""
        self.oldest: tuple[str, float | None] = ("object-cache", 0.0)

    def route(self) -> str:
        if self.reason or connection.in_atomic_block:
            return DEFAULT_DB_ALIAS
        if self.alias is None:
            self.alias = self._choose()
        self.asked.add(self.alias)
        return self.alias

    def _choose(self) -> str:
        wanted = marks.of(self.persons)
        if wanted is None and watch.answers(DEFAULT_DB_ALIAS):
            return _primary_for("marks not known")
        replica = watch.choose(wanted or [])
        if replica is not None:
            return replica
        return _primary_for("own write" if wanted and watch.choose([]) else "no replica")

    def name(self, persons: set[str]) -> None:
        """The request is one of these persons': what was decided before that was known is decided anew."""
        if not persons <= self.persons:
            self.persons |= persons
            self.alias = None

    def expects_primary(self) -> bool:
        """Whether a query on the primary has a reason."""
        decided = self.reason or self.alias == DEFAULT_DB_ALIAS
        return bool(decided) or connection.in_atomic_block or not settings.REPLICAS

    def saw(self, source: str, age: float | None) -> None:
        known = self.oldest[1]
        if age is None or (known is not None and age >= known):
            self.oldest = (source, age)

    def lost(self, status: int) -> str:
        """The database whose connection broke in this request, or could not be made and made it fail; "" for none."""
        missing = (alias for alias in self.asked if status == 503 and connections[alias].connection is None)
        return self.gone or next(missing, "")


_reading: ContextVar[Reading | None] = ContextVar("reading", default=None)


def _primary_for(reason: str) -> str:
    """Raises `OperationalError` at once when the primary is known not to answer: waiting for it would hold a thread."""
    if watch.is_gone(DEFAULT_DB_ALIAS):
        raise OperationalError(2002, f"not asked, for it did not answer a moment ago; needed for: {reason}")
    PRIMARY_READS.labels(reason).inc()
    return DEFAULT_DB_ALIAS


class Router:
    """Django's database router: reads of a safe request go where `Reading` says, all else to the primary."""

    def db_for_read(self, model: type[Model], **hints: object) -> str:
        reading = _reading.get()
        return DEFAULT_DB_ALIAS if reading is None else reading.route()

    def db_for_write(self, model: type[Model], **hints: object) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, one: Model, other: Model, **hints: object) -> bool:
        return True  # the same books, whichever server they were read from

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return db == DEFAULT_DB_ALIAS


@contextmanager
def primary(reason: str) -> Iterator[None]:
    """Queries of this block go to the primary, and are counted by the reason."""
    reading = _reading.get()
    if reading is None:
        yield
        return
    before, reading.reason = reading.reason, reason
    _primary_for(reason)
    try:
        yield
    finally:
        reading.reason = before


def surely(find: Callable[[], T]) -> T:
    """`find()`, and once more on the primary when it raises `DoesNotExist` on a replica: that a replica lacks a row
    proves nothing. The rest of the request then stays on the primary."""
    try:
        return find()
    except ObjectDoesNotExist:
        reading = _reading.get()
        if reading is None or reading.route() == DEFAULT_DB_ALIAS:
            raise
        reading.alias = _primary_for("missing on a replica")
        return find()


def reading_as(*persons: str) -> None:
    """This request reads for these persons, each named as in `wrote`. Costs nothing until a query is made."""
    reading = _reading.get()
    if reading is not None:
        reading.name(set(persons))


# --- counting ---------------------------------------------------------------------------------------------------------
def unexpected(sql: str) -> None:
    """A safe request asked the primary without a reason. Tests put something that raises in this place."""
    UNEXPECTED_QUERIES.inc()
    logger.error("asked the primary without a reason: %s", sql)


def count_queries(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """Receiver of `connection_created`. A watching thread's own connection is not counted, nor one that belongs to no
    database, as Django makes to create and drop those of tests."""
    known = any(isinstance(one, _Counting) for one in connection.execute_wrappers)
    if not known and connection.alias in connections and connections[connection.alias] is connection:
        connection.execute_wrappers.append(_Counting(connection.alias))


class _Counting:
    """An `execute_wrapper`: counts a query, and notes for the request whose it is what it showed or why it failed."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._count = QUERIES.labels(alias, "writer" if alias == DEFAULT_DB_ALIAS else "reader").inc

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        self._count()
        reading = _reading.get()
        if reading is None:
            return execute(sql, params, many, context)
        if self._alias == DEFAULT_DB_ALIAS and not reading.expects_primary():
            unexpected(sql)
        try:
            answer = execute(sql, params, many, context)
        except Error as error:
            if is_gone(error):
                reading.gone = self._alias
            raise
        source = "primary" if self._alias == DEFAULT_DB_ALIAS else "replica"
        reading.saw(source, watch.age(self._alias))
        return answer


# --- provenance -------------------------------------------------------------------------------------------------------
def as_of() -> datetime | None:
    """The moment that this request's reads show at least; None when it is not known. For what is remembered."""
    reading = _reading.get()
    age = watch.age(reading.alias) if reading is not None and reading.alias else 0.0
    return None if age is None else timezone.now() - timedelta(seconds=age)


def remembered(since: datetime | None, *, source: str = "object-cache") -> None:
    """This answer uses something that is remembered and was true at that moment (None: not known which)."""
    reading = _reading.get()
    if reading is not None and settings.PROVENANCE:
        reading.saw(source, None if since is None else (timezone.now() - since).total_seconds())


class ReadingMiddleware:
    """Lets a safe request read from a replica, and answers it once more from another server when the connection breaks:
    it changed nothing, and nothing was sent yet. Says in the answer where the oldest part came from."""

    def __init__(self, get_response: GetResponse) -> None:
        if not settings.REPLICAS and not settings.PROVENANCE:
            raise MiddlewareNotUsed
        self.get_response = get_response
        if settings.REPLICAS:
            watch.start()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # An age is measured on the way, so seen from here its moment is a little early: never later than the truth.
        begun = timezone.now()
        if request.method not in ("GET", "HEAD"):
            return _told(self.get_response(request), "primary", 0.0, begun)
        reading = Reading()
        response = self._answer(request, reading)
        lost = reading.lost(response.status_code)
        if lost and settings.REPLICAS:
            watch.failed(lost, "its connection broke during a request")
            if response.status_code == 503:
                reading = Reading()
                response = self._answer(request, reading)
        return _told(response, *reading.oldest, begun)

    def _answer(self, request: HttpRequest, reading: Reading) -> HttpResponseBase:
        token = _reading.set(reading)
        try:
            return self.get_response(request)
        finally:
            _reading.reset(token)


def _told(response: HttpResponseBase, source: str, age: float | None, begun: datetime) -> HttpResponseBase:
    if settings.PROVENANCE:
        response["X-Served-From"] = source
        if age is not None:
            _tell_age(response, max(0.0, age), begun)
    return response


def _tell_age(response: HttpResponseBase, age: float, begun: datetime) -> None:
    response["X-Data-Age"] = f"{age:.1f}"
    response["X-Data-As-Of"] = (begun - timedelta(seconds=age)).isoformat(timespec="milliseconds")
    shared = _SHARED.search(response.get("Cache-Control", ""))
    kept = int(shared[1]) if shared else get_max_age(response)
    if kept:
        # What nginx says in place of the age while its copy is fresh, for it cannot add. It counts in whole seconds, so
        # a copy lives up to one longer.
        response["X-Data-Age-At-Most"] = f"{age + kept + 1:.1f}"

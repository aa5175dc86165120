"""What changed: one row a tag, written in the transaction of the change itself, read by every process that keeps copies
of what pages show (`page_cache`, `object_cache`, `search`).

Each of these processes watches: twice a second it reads the rows that are new to it, and tells its listeners. Rows
become visible out of order, for a number is given before the commit; so rows are read again for a while after a later
number was seen, and those that were seen are left out. See docs/decisions/0023.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from config import watching
from config.faults import words
from shop.caching.cache_counters import LOOKED_AT
from shop.caching.discoveries import Discoveries, News
from shop.models import Change

HOME = "home"
DEALS = "deals"
EVENTS = "events"
ANNOUNCEMENTS = "announcements"
DEPARTMENTS = "departments"  # their names, which every page shows

KEPT_SECONDS = 3_600  # longer than any copy is kept: a process that begins is told all that is still there
LOOK_SECONDS = 0.5
# How long a transaction may take from telling to its commit. A statement's time-out is 20 s (`settings.DATABASES`).
OVERLAP_SECONDS = 30.0
# A watch that has not got through for so long is behind: it is not known whether what was kept before is true still.
BEHIND_SECONDS = 30.0
_CLEARED_AT_ONCE = 5_000
_CLEARED_EARLY = 300.0  # no two clocks are the same: a row that is nearly old enough may have been cleared
_TOGETHER_SECONDS = 10  # processes that find another database within this time speak of the same one

Row = tuple[int, str, object]  # number, tag, time
Listener = Callable[[frozenset[str], float], None]
logger = logging.getLogger(__name__)


def product(pk: int) -> str:
    return f"product:{pk}"


def category(pk: int) -> str:
    return f"category:{pk}"


def event(pk: int) -> str:
    return f"event:{pk}"


def tell(tags: Iterable[str]) -> None:
    """What bears one of these tags is no longer true once the caller's transaction is committed."""
    Change.objects.bulk_create([Change(tag=tag) for tag in sorted(set(tags))], batch_size=1_000)


def clear_old(*, now: datetime) -> int:
    """Delete what every process was told long ago; the number of rows."""
    old = Change.objects.filter(at__lt=now - timedelta(seconds=KEPT_SECONDS)).order_by("at")
    deleted, _ = Change.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_CLEARED_AT_ONCE])).delete()
    return deleted


class Watch:
    """What this process was told. One thread looks; listeners are called in it and must be quick.

    A listener gets the tags and when they were discovered, by whichever process of this machine (`time.monotonic`, see
    `discoveries`). What was read from the primary after that moment is younger than the change. The first look tells
    everything of the last hour: a copy on this machine's disk may be older than this process. When the database was
    away and is another one now (another server, or without rows that were seen) all is told again: it lacks changes
    that pages show.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()  # one look at a time
        self._starting = threading.Lock()
        self._started_in = 0
        self._stopping = threading.Event()
        self._fault = ""
        self.looked_at: float | None = None
        # Whatever any process of this machine had discovered until then, this one has heard.
        self.heard_until: float | None = None
        self._again: frozenset[str] = frozenset()
        self._server = ""
        self._discoveries = Discoveries(clock)
        self._begin_anew()

    def forget(self) -> None:
        """What was seen, by every process of this machine (another database, as between tests). Until it looks again
        this process hears of nothing."""
        with self._lock:
            self._discoveries.forget()
            self._begin_anew()
            self.looked_at = self.heard_until = None

    def _begin_anew(self) -> None:
        """The next look reads all that is there."""
        self._floor = 0
        self._seen: dict[int, tuple[float, Row]] = {}  # by number, when it was seen; in that order
        self._doubted = True  # whether it is the database that was asked before
        # By tag. The same in each process, of any machine, that has heard of the same changes.
        self.versions: Mapping[str, int] = {}

    def listen(self, listener: Listener) -> None:
        """Before `start`: who comes later is not told what was before."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def start(self) -> None:
        """Look twice a second from now on. Who looks already goes on; a forked child needs a thread of its own."""
        with self._starting:
            if self._started_in == os.getpid():
                return
            self._started_in = os.getpid()
        self._thread = threading.Thread(target=self._go_on, name="watch-changes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """For good, and when this returns the connection is closed."""
        self._stopping.set()
        self._thread.join()

    def look(self, connection: BaseDatabaseWrapper) -> None:
        """Read what is new and tell it."""
        with self._lock:
            asked, began = self._clock(), time.time()
            if self._doubted:
                self._make_sure(connection)
            new = [row for row in self._rows(connection, self._floor) if row[0] not in self._seen]
            now = self._clock()
            self._seen.update((row[0], (now, row)) for row in new)
            self._raise_floor(now)
            self._hear([f"{number}|{at}|{tag}" for number, tag, at in new] + self._once_more())
            self.looked_at = asked
            LOOKED_AT.labels("shop_change").set(began)

    def is_behind(self) -> bool:
        """It did look, and has not got through for a while."""
        heard = self.heard_until
        return heard is not None and self._clock() - heard > BEHIND_SECONDS

    def _hear(self, names: list[str], found: frozenset[str] = frozenset()) -> None:
        """Note what was seen here, and tell what this machine has discovered since; then what this process `found`."""
        news = self._discoveries.exchange(names)
        self._count(news.first)
        for discovered, tags in _by_moment(news):
            self._tell(tags, discovered)
        if found:
            self._tell(found, news.until)
        self.heard_until = news.until

    def _rows(self, connection: BaseDatabaseWrapper, above: int) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, tag, at FROM shop_change WHERE id > %s ORDER BY id", [above])
            return list(cursor.fetchall())

    def _make_sure(self, connection: BaseDatabaseWrapper) -> None:
        """Tell all again if this is not the database that was asked last. A look that only took too long is no reason:
        every page would be made anew just when the database is slow."""
        server = _server(connection)
        if server != self._server or self._lacks_what_was_seen(connection):
            self._again |= frozenset(self.versions)
            self._floor, self._seen = 0, {}
        self._server, self._doubted = server, False

    def _lacks_what_was_seen(self, connection: BaseDatabaseWrapper) -> bool:
        if not self._seen:
            return False
        there = set(self._rows(connection, min(self._seen) - 1))
        return any(row not in there and not _may_be_cleared(row) for _, row in self._seen.values())

    def _count(self, names: Iterable[str]) -> None:
        """A version is the sum of all changes of a tag, in whatever order they are seen: a later number may become
        visible first. One that came in twice would make a version of its own, and never one that was there before."""
        versions = dict(self.versions)
        for name in names:
            number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
            versions[_tag(name)] = (versions.get(_tag(name), 0) + number) % 2**64
        self.versions = versions

    def _raise_floor(self, now: float) -> None:
        """Leave behind what was seen so long ago that nothing with a lower number can still appear. The last one stays,
        to know this database by."""
        while len(self._seen) > 1:
            number, (seen_at, _) = next(iter(self._seen.items()))
            if now - seen_at < OVERLAP_SECONDS:
                return
            del self._seen[number]
            self._floor = max(self._floor, number)

    def _tell(self, tags: frozenset[str], discovered: float) -> None:
        for listener in self._listeners:
            try:
                listener(tags, discovered)
            except Exception:  # the others must hear of it, and what was read is not told again
                logger.exception("a listener failed on %d changes", len(tags))

    def pass_on(self, tags: frozenset[str]) -> None:
        """Tell what this process found out itself, now: that a copy on this machine shows a change from here on. Not to
        be called by a listener."""
        with self._lock:
            self._hear([], tags)

    def _once_more(self) -> list[str]:
        """Under one name for all processes, of any machine: they all find the same, and it is to be told once."""
        again, self._again = self._again, frozenset()
        moment = int(time.time() // _TOGETHER_SECONDS)
        return [f"{self._server} since {moment}|{tag}" for tag in sorted(again)]

    def _go_on(self) -> None:
        own = watching.own_connection(DEFAULT_DB_ALIAS)
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look(own)
                self._tell_answer("")
            except Exception as error:  # noqa: BLE001 (also the driver's own: who ends here watches never again)
                self._tell_answer(words(error))
                self._doubted = True
                watching.close(own)
        watching.close(own)

    def _tell_answer(self, fault: str) -> None:
        if fault and not self._fault:
            logger.warning("changes of the shop are not seen: %s", fault)
        elif self._fault and not fault:
            logger.info("changes of the shop are seen again")
        self._fault = fault


def _by_moment(news: News) -> Iterator[tuple[float, frozenset[str]]]:
    for moment, heard in groupby(sorted(news.heard), key=itemgetter(0)):
        yield moment, frozenset(_tag(name) for _, name in heard)


def _tag(name: str) -> str:
    return name.rpartition("|")[2]


def _server(connection: BaseDatabaseWrapper) -> str:
    """Which one it is, where there may be several."""
    if connection.vendor != "mysql":
        return connection.vendor
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONCAT_WS(':', @@server_id, @@hostname, @@port)")
        return str(cursor.fetchone()[0])


def _may_be_cleared(row: Row) -> bool:
    """See `clear_old`."""
    at = row[2] if isinstance(row[2], datetime) else datetime.fromisoformat(str(row[2]))
    age = datetime.now(UTC) - at.replace(tzinfo=UTC)
    return age.total_seconds() > KEPT_SECONDS - _CLEARED_EARLY


watch = Watch()
listen = watch.listen
start = watch.start
forget = watch.forget
pass_on = watch.pass_on


def look_now() -> None:
    """Look at once, in the caller's thread and transaction."""
    watch.look(connection)

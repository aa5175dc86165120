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
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config.faults import words
from shop.discoveries import Discoveries, News
from shop.models import Change

HOME = "home"
DEALS = "deals"
EVENTS = "events"
ANNOUNCEMENTS = "announcements"

KEPT_SECONDS = 3_600  # longer than any copy is kept: a process that begins is told all that is still there
LOOK_SECONDS = 0.5
# How long a transaction may take from telling to its commit. A statement's time-out is 20 s (`settings.DATABASES`).
OVERLAP_SECONDS = 30.0
_CLEARED_AT_ONCE = 5_000
# A watcher's own time-outs are shorter than a request's: it is there to see what changed, not to wait.
_QUICK = {"connect_timeout": 1, "read_timeout": 2, "write_timeout": 2}

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
    everything of the last hour: a copy on this machine's disk may be older than this process. After the database was
    away all is told again, for it may be another server now, one that lacks the last changes.
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
        self._discoveries = Discoveries(clock)
        self._begin_anew()

    def forget(self) -> None:
        """What was seen, by every process of this machine (another database, as between tests)."""
        self._discoveries.forget()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """The next look reads all that is there."""
        self._floor = 0
        self._seen: dict[int, float] = {}  # by number, when it was seen; in that order
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
            asked = self._clock()
            new = [row for row in self._rows(connection) if row[0] not in self._seen]
            now = self._clock()
            self._seen.update((number, now) for number, _, _ in new)
            self._raise_floor(now)
            self._hear([f"{number}|{at}|{tag}" for number, tag, at in new] + self._once_more())
            self.looked_at = asked

    def _hear(self, names: list[str], found: frozenset[str] = frozenset()) -> None:
        """Note what was seen here, and tell what this machine has discovered since; then what this process `found`."""
        news = self._discoveries.exchange(names)
        self._count(name for _, name in news.heard)
        for discovered, tags in _by_moment(news):
            self._tell(tags, discovered)
        if found:
            self._tell(found, news.until)
        self.heard_until = news.until

    def _rows(self, connection: BaseDatabaseWrapper) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, tag, at FROM shop_change WHERE id > %s ORDER BY id", [self._floor])
            return list(cursor.fetchall())

    def _count(self, names: Iterable[str]) -> None:
        """A version is made of all changes of a tag, in whatever order they are seen: a later number may become visible
        first."""
        versions = dict(self.versions)
        for name in names:
            number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
            versions[_tag(name)] = versions.get(_tag(name), 0) ^ number
        self.versions = versions

    def _raise_floor(self, now: float) -> None:
        """Leave behind what was seen so long ago that nothing with a lower number can still appear."""
        while self._seen:
            number, seen_at = next(iter(self._seen.items()))
            if now - seen_at < OVERLAP_SECONDS:
                return
            del self._seen[number]
            self._floor = max(self._floor, number)

    def _tell(self, tags: frozenset[str], discovered: float) -> None:
        for listener in self._listeners:
            try:
                listener(tags, discovered)
            except Exception:
                logger.exception("a listener failed on %d changes", len(tags))

    def pass_on(self, tags: frozenset[str]) -> None:
        """Tell what this process found out itself, now: that a copy on this machine shows a change from here on. Not to
        be called by a listener."""
        with self._lock:
            self._hear([], tags)

    def _once_more(self) -> list[str]:
        again, self._again = self._again, frozenset()
        number = os.urandom(6).hex()
        return [f"{number}|{tag}" for tag in again]

    def _go_on(self) -> None:
        own = connections[DEFAULT_DB_ALIAS].copy()
        if own.vendor == "mysql":
            own.settings_dict["OPTIONS"] = {**own.settings_dict["OPTIONS"], **_QUICK}
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look(own)
                self._tell_answer("")
            except Exception as error:  # noqa: BLE001 (also the driver's own: who ends here watches never again)
                self._tell_answer(words(error))
                self._floor, self._seen, self._again = 0, {}, frozenset(self.versions)
                _close(own)
        _close(own)

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


def _close(connection: BaseDatabaseWrapper) -> None:
    try:
        connection.close()
    except Exception:  # noqa: BLE001 (it broke before; the next look makes another)
        connection.connection = None


watch = Watch()
listen = watch.listen
start = watch.start
forget = watch.forget
pass_on = watch.pass_on


def look_now() -> None:
    """Look at once, in the caller's thread and transaction."""
    watch.look(connection)

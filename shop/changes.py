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
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config.faults import words
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

    A listener gets the tags and when they were discovered (`time.monotonic`). What was read from the primary after that
    moment is younger than the change. The first look tells everything of the last hour: a copy on this machine's disk
    may be older than this process. So does the first look after the database was away, which may be another server now.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()  # one look at a time
        self._starting = threading.Lock()
        self._started_in = 0
        self._fault = ""
        self.looked_at: float | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next look tells all that is there."""
        self._floor = 0
        self._seen: dict[int, float] = {}  # by number, when it was seen; in that order

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
        threading.Thread(target=self._go_on, name="watch-changes", daemon=True).start()

    def look(self, connection: BaseDatabaseWrapper) -> None:
        """Read what is new and tell it."""
        with self._lock:
            asked = self._clock()
            new = [(number, tag) for number, tag in self._rows(connection) if number not in self._seen]
            discovered = self._clock()
            self._seen.update((number, discovered) for number, _ in new)
            self._raise_floor(discovered)
            if new:
                self._tell(frozenset(tag for _, tag in new), discovered)
            self.looked_at = asked

    def _rows(self, connection: BaseDatabaseWrapper) -> list[tuple[int, str]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, tag FROM shop_change WHERE id > %s ORDER BY id", [self._floor])
            return list(cursor.fetchall())

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
        """Tell what this process found out itself, now: that a copy on this machine shows a change from here on."""
        self._tell(tags, self._clock())

    def _go_on(self) -> None:
        own = connections[DEFAULT_DB_ALIAS].copy()
        if own.vendor == "mysql":
            own.settings_dict["OPTIONS"] = {**own.settings_dict["OPTIONS"], **_QUICK}
        while True:
            try:
                self.look(own)
                self._tell_answer("")
            except Exception as error:  # noqa: BLE001 (also the driver's own: who ends here watches never again)
                self._tell_answer(words(error))
                self.forget()
                _close(own)
            time.sleep(LOOK_SECONDS)

    def _tell_answer(self, fault: str) -> None:
        if fault and not self._fault:
            logger.warning("changes of the shop are not seen: %s", fault)
        elif self._fault and not fault:
            logger.info("changes of the shop are seen again")
        self._fault = fault


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

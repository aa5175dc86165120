"""Which replica may be read from, and how old is what it shows.

Each web process watches: twice a second it asks the primary and every replica for its position, the GTIDs (domain,
server, sequence) of the last write it holds. A replica shows at least everything that the primary held at the last
moment at which the primary was seen at or before the replica's position; its age is the time since that moment. That
needs no privilege, no clock of another machine and no heartbeat table, and it goes on growing when the primary is dead.
"""

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper

from config import watching
from config.faults import words

Position = Mapping[int, int]  # the sequence number reached, by replication domain

Look = Callable[[BaseDatabaseWrapper, float], None]

logger = logging.getLogger(__name__)
_REMEMBERED = 2_000  # positions of the primary: at the quickest pace the last quarter of an hour
_LOOK_SECONDS = 0.5
_CATCH_UP_SECONDS = 0.2
_HURRY_SECONDS = 0.02  # between looks while somebody waits for a write to arrive
_NOT_ASKED = "was not asked yet"


def position(gtids: str) -> Position:
    """`0-1-5,1-2-7` as {0: 5, 1: 7}; the empty text of a server that was never written to as {}."""
    parts = [gtid.strip().split("-") for gtid in gtids.split(",") if gtid.strip()]
    return {int(domain): int(sequence) for domain, _, sequence in parts}


def holds(reached: Position, wanted: Position) -> bool:
    """Whether a server at `reached` holds every write up to `wanted`."""
    return all(reached.get(domain, 0) >= sequence for domain, sequence in wanted.items())


class Sightings:
    """Where the primary was seen, and when last. Times in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[tuple[int, int], ...], tuple[Position, float]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, reached: Position, at: float) -> None:
        """`at`: when the question was sent, so that every earlier commit is in the answer."""
        key = tuple(sorted(reached.items()))
        with self._lock:
            self._seen[key] = (reached, at)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    def last_held(self, reached: Position) -> float | None:
        """The last moment whose every commit is held by a server at `reached`; None when that was never seen."""
        with self._lock:
            return next((at for seen, at in reversed(self._seen.values()) if holds(reached, seen)), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one server. `fault`: why it does not answer, "" when it does."""

    alias: str
    answers: bool
    age: float | None
    fault: str


class Watch:
    """What this process knows of the primary and of its replicas. The threads write, requests read."""

    def __init__(self, replicas: Sequence[str], *, max_lag: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._replicas = tuple(replicas)
        self._max_lag = max_lag
        self._clock = clock
        self._sightings = Sightings()
        self._primary = ""
        self._reached: dict[str, Position] = {}
        self._held_at: dict[str, float | None] = {}
        self._late: set[str] = set()
        self._asked = threading.Condition()  # notified when the replicas are to be looked at
        self._started = False
        self._starting = threading.Lock()
        self._faults: dict[str, str] = dict.fromkeys((DEFAULT_DB_ALIAS, *replicas), _NOT_ASKED)

    def saw_primary(self, gtids: str, at: float) -> None:
        """The primary answered with this position when it was asked at `at`."""
        self._sightings.add(position(gtids), at)
        self._primary = gtids
        self._tell_answer(DEFAULT_DB_ALIAS)

    def saw(self, alias: str, gtids: str) -> None:
        """The replica `alias` answered with this position. Its age counts from the primary's sightings alone."""
        reached = position(gtids)
        self._held_at[alias] = self._sightings.last_held(reached)
        self._reached[alias] = reached
        self._tell_answer(alias)
        if self.answers(DEFAULT_DB_ALIAS):
            self._tell_lateness(alias)

    def _tell_answer(self, alias: str) -> None:
        if self._faults.pop(alias, ""):
            logger.info("database %s answers", alias)

    def _tell_lateness(self, alias: str) -> None:
        late = not self.is_young(alias)
        if late == (alias in self._late):
            return
        if late:
            age = self.age(alias)
            behind = "further than is known" if age is None else f"{age:.1f} s"
            logger.warning("database %s is left out until it has caught up; it is behind: %s", alias, behind)
            self._late.add(alias)
        else:
            logger.info("database %s has caught up", alias)
            self._late.discard(alias)

    def failed(self, alias: str, fault: str) -> None:
        """Leave `alias` out until it has answered again."""
        if alias not in self._faults:
            logger.warning("database %s is left out: %s", alias, fault)
        self._faults[alias] = fault

    def answers(self, alias: str) -> bool:
        return alias not in self._faults

    def is_gone(self, alias: str) -> bool:
        """Whether it was asked and did not answer. A watch that has only begun knows of nobody."""
        return self._faults.get(alias, _NOT_ASKED) != _NOT_ASKED

    def age(self, alias: str) -> float | None:
        """Seconds since the primary held no more than this server does; None when that is not known."""
        if alias == DEFAULT_DB_ALIAS:
            return 0.0
        at = self._held_at.get(alias)
        return None if at is None else self._clock() - at

    def choose(self, wanted: Collection[Position]) -> str | None:
        """A replica that holds every wanted position: any that is young enough. While the primary does not answer, the
        one that is furthest, however old. None: there is none."""
        fit = [
            alias
            for alias in self._replicas
            if self.answers(alias) and all(holds(self._reached[alias], one) for one in wanted)
        ]
        if self.answers(DEFAULT_DB_ALIAS):
            fit = [alias for alias in fit if self.is_young(alias)]
        else:
            furthest = max((self._distance(alias) for alias in fit), default=0)
            fit = [alias for alias in fit if self._distance(alias) == furthest]
        return random.choice(fit) if fit else None  # noqa: S311 (spreading, not a secret)

    def wait_until_held(self, gtids: str, *, seconds: float) -> bool:
        """Until every replica that may be read from is known to hold this position. False when that is not so within
        this time, and at once in a process that does not watch."""
        wanted, until = position(gtids), self._clock() + seconds
        while self._primary and self._clock() < until:
            if all(holds(self._reached[alias], wanted) for alias in self._replicas if self._may_be_read(alias)):
                return True
            with self._asked:
                self._asked.notify_all()  # the replicas' threads look now
            time.sleep(_HURRY_SECONDS)
        return False

    def _may_be_read(self, alias: str) -> bool:
        """Now or soon, by any process: what this one finds too old may be young enough for another."""
        age = self.age(alias)
        return self.answers(alias) and age is not None and age <= 2 * self._max_lag

    def standings(self) -> list[Standing]:
        """The primary first, then the replicas."""
        return [
            Standing(alias, self.answers(alias), self.age(alias), self._faults.get(alias, ""))
            for alias in (DEFAULT_DB_ALIAS, *self._replicas)
        ]

    def is_young(self, alias: str) -> bool:
        """Whether this replica's age is known, and not above the maximal lag."""
        age = self.age(alias)
        return age is not None and age <= self._max_lag

    def _distance(self, alias: str) -> int:
        return sum(self._reached[alias].values())

    def start(self) -> None:
        """Watch from now on: one thread a server, so that one that hangs does not make the others look old. Who watches
        already goes on."""
        with self._starting:
            if self._started:
                return
            self._started = True
        for alias in (DEFAULT_DB_ALIAS, *self._replicas):
            look = self._look_at_primary if alias == DEFAULT_DB_ALIAS else self._look_at_replica
            threading.Thread(target=self._go_on, args=(alias, look), name=f"watch-{alias}", daemon=True).start()

    def _go_on(self, alias: str, look: Look) -> None:
        connection = watching.own_connection(alias)
        pause = min(_LOOK_SECONDS, self._max_lag / 4)
        while True:
            try:
                look(connection, pause)
            except Exception as error:  # noqa: BLE001 (also the driver's own: who ends here watches never again)
                self.failed(alias, words(error))
                watching.close(connection)
                time.sleep(pause)

    def _look_at_primary(self, connection: BaseDatabaseWrapper, pause: float) -> None:
        at = self._clock()
        self.saw_primary(_ask(connection, "SELECT @@gtid_binlog_pos"), at)
        with self._asked:
            self._asked.notify_all()
        time.sleep(pause)

    def _look_at_replica(self, connection: BaseDatabaseWrapper, pause: float) -> None:
        """Right after the primary was asked, and with a moment to catch up: else what was written in between would
        make the replica look as old as the last time."""
        with self._asked:
            self._asked.wait(2 * pause)
        if self._primary and self.answers(DEFAULT_DB_ALIAS):
            _ask(connection, "SELECT MASTER_GTID_WAIT(%s, %s)", self._primary, _CATCH_UP_SECONDS)
        self.saw(connection.alias, _ask(connection, "SELECT @@gtid_slave_pos"))


def _ask(connection: BaseDatabaseWrapper, sql: str, *values: str | float) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        (answer,) = cursor.fetchone()
    return str(answer)

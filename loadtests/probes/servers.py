"""nginx, MariaDB and Redis, each asked by its own means. Every connection is a probe's own, kept, and opened anew after
a failure: a server that has no connection left for a probe that has one already still tells why."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from loadtests.probes.parts import fetched
from loadtests.probes.rates import Rates

ANSWER_SECONDS = 2

# MariaDB's SHOW GLOBAL STATUS, which needs no privilege: our name, its name, whether it only grows.
STATUS = {
    "threads_running": ("Threads_running", False),
    "threads_connected": ("Threads_connected", False),
    "row_locks_waited_for": ("Innodb_row_lock_current_waits", False),
    "questions": ("Questions", True),
    "selects": ("Com_select", True),
    "commits": ("Com_commit", True),
    "connections_refused": ("Connection_errors_max_connections", True),
    "row_lock_waits": ("Innodb_row_lock_waits", True),
    "row_lock_milliseconds": ("Innodb_row_lock_time", True),
    "rows_scanned": ("Handler_read_rnd_next", True),
    "pages_from_disk": ("Innodb_buffer_pool_reads", True),
    "syncs": ("Innodb_data_fsyncs", True),
}
# Its errors 1040, 1203 and 1226, as its client raises them.
_TOO_MANY = ((1040,), (1203,), (1226,))
INFO = {
    "clients": ("connected_clients", False),
    "memory_bytes": ("used_memory", False),
    "memory_limit_bytes": ("maxmemory", False),
    "operations": ("total_commands_processed", True),
    "evicted": ("evicted_keys", True),
    "hits": ("keyspace_hits", True),
    "misses": ("keyspace_misses", True),
    "rejected": ("rejected_connections", True),
}


@dataclass(slots=True)
class Nginx:
    """stub_status. `dropped`: accepted and not handled, for nginx had no connection left."""

    url: str
    limit: int | None = None
    clock: Callable[[], float] = time.monotonic
    name: str = "nginx"
    asked: int = 0
    _rates: Rates = field(default_factory=Rates)

    def read(self) -> dict[str, Any]:
        now = self.clock()
        body = fetched(self.url)
        self.asked += 1
        active, accepted, handled, requests, reading, writing, waiting = stub_status(body)
        grown = {"accepted": accepted, "dropped": accepted - handled, "requests": requests}
        held = {"active": active, "reading": reading, "writing": writing, "waiting": waiting}
        found = {**held, **self._rates.of(grown, at=now), **({"limit": self.limit} if self.limit else {})}
        return {"gauges": {f"nginx.{name}": value for name, value in found.items()}}

    def close(self) -> None:
        """Each question has a connection of its own."""


def stub_status(body: bytes) -> tuple[int, ...]:
    """Active connections; accepted, handled, requests since it began; reading, writing, waiting now. Raises
    `ValueError`. The form is of ngx_http_stub_status_module."""
    numbers = tuple(int(word) for word in body.split() if word.isdigit())
    if len(numbers) != 7:
        raise ValueError("that is no stub_status")
    return numbers


@dataclass(slots=True)
class MariaDB:
    """One server. With a `lag` it is a replica, and tells how far behind it is."""

    node: str
    url: str = field(repr=False)
    lag: "Lag | None" = None
    clock: Callable[[], float] = time.monotonic
    _rates: Rates = field(default_factory=Rates)
    _connection: Any = None

    @property
    def name(self) -> str:
        return f"mariadb.{self.node}"

    def read(self) -> dict[str, Any]:
        try:
            found = self._read()
        except Exception as error:
            if error.args[:1] not in _TOO_MANY:
                raise
            found = {"connections_refused": 1.0}  # this one; how many others it does not say
        return {"gauges": {f"{self.name}.{name}": value for name, value in found.items()}}

    def _read(self) -> dict[str, float | None]:
        if self.lag is not None:
            self.lag.look()
        now = self.clock()
        status = {name: float(value) for name, value in self._ask("SHOW GLOBAL STATUS") if _is_number(value)}
        ((limit, own_limit, position),) = self._ask(
            "SELECT @@global.max_connections, @@global.max_user_connections, @@gtid_current_pos"
        )
        found: dict[str, float | None] = {name: status[their] for name, (their, grows) in STATUS.items() if not grows}
        grown = {name: status[their] for name, (their, grows) in STATUS.items() if grows}
        found |= self._rates.of(grown, at=now)
        found["max_connections"] = float(min(limit, own_limit or limit))
        if self.lag is not None:
            found["lag_seconds"] = self.lag.of(str(position))
        return found

    def position(self) -> str:
        """The GTIDs of the last write that it holds, also of a primary that is one itself."""
        ((found,),) = self._ask("SELECT @@gtid_current_pos")
        return str(found)

    def _ask(self, question: str) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = _connected(self.url)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(question)
                return list(cursor.fetchall())
        except Exception:  # whatever it was: the next look has a connection of its own
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):  # it broke before
                self._connection.close()
        self._connection = None
        if self.lag is not None:
            self.lag.close()


def _connected(url: str) -> Any:
    import MySQLdb  # not installed with the embedded default

    parts = urlsplit(url)
    return MySQLdb.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        connect_timeout=ANSWER_SECONDS,
        read_timeout=ANSWER_SECONDS,
        autocommit=True,
    )


def _is_number(text: Any) -> bool:
    return str(text).isdigit()


@dataclass(slots=True)
class Lag:
    """How old what a replica shows is, as `config/replicas.py` reckons it: by positions, without a privilege. The
    primary is looked at first: what it held then the replica holds, or is behind."""

    primary: MariaDB
    clock: Callable[[], float] = time.monotonic
    _sightings: Any = None
    _newest: float = 0.0

    def look(self) -> None:
        from config.replicas import Sightings, position  # here: a generator process never loads Django

        self._sightings = self._sightings or Sightings()
        self._newest = self.clock()
        self._sightings.add(position(self.primary.position()), self._newest)

    def of(self, reached: str) -> float | None:
        """Seconds, of a replica that was seen at this position after the last look; None as long as the primary was
        never seen where it is."""
        from config.replicas import position

        held = self._sightings.last_held(position(reached))
        return None if held is None else self._newest - float(held)

    def close(self) -> None:
        self.primary.close()


@dataclass(slots=True)
class Redis:
    """INFO, by the client that the application uses."""

    url: str = field(repr=False)
    name: str = "redis"
    clock: Callable[[], float] = time.monotonic
    _rates: Rates = field(default_factory=Rates)
    _client: Any = None

    def read(self) -> dict[str, Any]:
        import redis  # not installed with the embedded default

        if self._client is None:
            self._client = redis.Redis.from_url(
                self.url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
            )
        now = self.clock()
        info: Mapping[str, Any] = self._client.info()
        found = {name: float(info[their]) for name, (their, grows) in INFO.items() if not grows}
        found |= self._rates.of({name: float(info[their]) for name, (their, grows) in INFO.items() if grows}, at=now)
        return {"gauges": {f"redis.{name}": value for name, value in found.items()}}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

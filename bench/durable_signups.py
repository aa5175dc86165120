"""How many signups a second are durable on the primary, beside raw single-row INSERTs of the same number of clients?

python -m bench.durable_signups [rounds] [seconds] [clients]

A signup is two rows in one transaction (the place and its mail), and Django. Nothing is relaxed: each commit is flushed
to the disk, in the binary log too. Both go in turn, in processes of their own with a connection each.
"""

import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bench.local_stack import servers
from bench.side_by_side import machine, ratio, shown

START_SECONDS = 60
RAW_TABLE = "CREATE TABLE bench_raw (id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(254) NOT NULL) ENGINE=InnoDB"


def main() -> None:
    rounds, seconds, clients = (int(value) for value in (*sys.argv[1:], *("5", "4", "16")[len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder,
        servers(Path(folder), "mariadb", "redis") as environment,
    ):
        os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings", STAMPEDE_LOG_LEVEL="WARNING")
        _prepare()
        found: dict[str, list[float]] = {"raw INSERT": [], "signup": []}
        for _ in range(rounds):
            for name, client in (("raw INSERT", _insert_raw), ("signup", _sign_up)):
                found[name].append(_rate(client, clients, seconds))
    shown(found, unit=f"a second, {rounds} rounds of {seconds} s, {clients} clients")
    share = ratio(found["signup"], found["raw INSERT"])
    print(f"durable signups: {share:.2f} of the rate of raw single-row INSERTs ({machine()})")


def _prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection, connections

    call_command("migrate", verbosity=0)
    call_command("seed_sale", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(RAW_TABLE)
    _sign_up()  # what the first one imports and compiles is not to be done in each process
    connections.close_all()  # a connection does not survive a fork


def _rate(client: Callable[[], None], clients: int, seconds: int) -> float:
    start = multiprocessing.Barrier(clients)
    done: multiprocessing.Queue[int] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=_work, args=(client, start, seconds, done)) for _ in range(clients)]
    for process in processes:
        process.start()
    total = sum(done.get(timeout=START_SECONDS + seconds) for _ in processes)
    for process in processes:
        process.join()
    return total / seconds


def _work(client: Callable[[], None], start: Barrier, seconds: int, done: "multiprocessing.Queue[int]") -> None:
    from django.db import connections

    connections["default"].ensure_connection()
    start.wait(START_SECONDS)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        client()
        count += 1
    done.put(count)
    connections.close_all()


def _insert_raw() -> None:
    from django.db import connections

    handle = connections["default"].connection
    cursor = handle.cursor()  # the driver's own: nothing of Django is measured
    cursor.execute("INSERT INTO bench_raw (email) VALUES (%s)", (f"{uuid.uuid4().hex}@example.org",))
    handle.commit()


def _sign_up() -> None:
    from django.utils import timezone

    from ico import waitlist

    waitlist.join(email=f"{uuid.uuid4().hex}@example.org", client_address="127.0.0.1", now=timezone.now())


if __name__ == "__main__":
    main()

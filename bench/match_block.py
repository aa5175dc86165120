"""Does finding our payments in a block cost more among a million addresses than among ten thousand?

python -m bench.match_block [rounds]

A full block: 4,000 outputs, 40 of them to addresses that were handed out, the others to strangers that no round has
seen before. Told is the CPU time of one block, the client's and the database server's together, on SQLite and, where
it is installed, on MariaDB. The goal is 50 ms; exits with 1 when it is missed.
"""

import multiprocessing
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.local_stack import servers
from bench.side_by_side import machine, ratio, shown

OUTPUTS, OURS = 4_000, 40
SIZES = (10_000, 1_000_000)
BLOCKS_A_ROUND = 10
FILLED_AT_ONCE = 50_000
GOAL = 50.0  # ms of CPU for a block
MILLISECONDS, MICROSECONDS = 1e3, 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="stampede-bench-")))
        places: dict[str, dict[str, dict[str, str]]] = {
            "SQLite": {f"{size:,}": {"STAMPEDE_DATA": str(folder / str(size))} for size in SIZES}
        }
        if shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            print("MariaDB is left out: it is not installed")
        else:
            started = opened.enter_context(servers(folder / "stack", "primary"))
            places["MariaDB"] = {f"{size:,}": _own_database(started, size) for size in SIZES}
        took = {database: _compare(database, sizes, rounds) for database, sizes in places.items()}
    if late := [f"{database}: {cpu:.1f} ms" for database, cpu in took.items() if cpu > GOAL]:
        sys.exit(f"The goal of {GOAL:g} ms is missed on {', '.join(late)}.")


def _compare(database: str, places: dict[str, dict[str, str]], rounds: int) -> float:
    """Milliseconds of CPU for a block among a million addresses."""
    with ExitStack() as opened:
        blocks = {}
        for size, environment in places.items():
            here, there = multiprocessing.get_context("spawn").Pipe()
            work = multiprocessing.get_context("spawn").Process(
                target=_match, args=(environment, int(size.replace(",", "")), there), daemon=True
            )
            work.start()
            there.close()  # the worker has its own: if it dies, receiving ends
            opened.callback(work.join, 30)
            opened.callback(here.send, False)
            here.recv()
            blocks[f"{database}, {size}"] = here
        found: dict[str, list[float]] = {name: [] for name in blocks}
        for _ in range(rounds):
            for name, here in blocks.items():
                here.send(True)
                found[name].append(here.recv())
    shown(found, unit=f"µs of CPU for a block, {rounds} rounds of {BLOCKS_A_ROUND} blocks")
    few, many = found.values()
    cpu = statistics.median(many) / MICROSECONDS * MILLISECONDS
    print(
        f"matching a full block on {database}: 1,000,000 addresses cost {ratio(many, few):.2f} of 10,000, {cpu:.1f} ms,"
        f" goal {GOAL:g} ({machine()})"
    )
    return cpu


def _match(environment: dict[str, str], size: int, there: Connection) -> None:
    """Fill the table, then match blocks whenever told to."""
    os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings", STAMPEDE_LOG_LEVEL="WARNING")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from ico import arrivals
    from ico.chains.base import Transfer

    call_command("migrate", verbosity=0)
    ours = _fill(size)
    cpu = _cpu_of(connection.vendor)

    def block() -> list[tuple[Transfer, None]]:
        strangers = [f"0x{secrets.token_hex(20)}" for _ in range(OUTPUTS - len(ours))]
        return [(Transfer(f"{place:064x}", place, to, 1), None) for place, to in enumerate([*strangers, *ours])]

    there.send("ready")
    while there.recv():
        blocks = [block() for _ in range(BLOCKS_A_ROUND)]
        began = cpu()
        found = [len(arrivals.ours("ETH", one)) for one in blocks]
        there.send((cpu() - began) / BLOCKS_A_ROUND * MICROSECONDS)
        if set(found) != {OURS}:
            sys.exit(f"{found} of {OURS} were found")


def _cpu_of(vendor: str) -> Callable[[], float]:
    """Seconds of CPU, of this process and of the database server it is connected to."""
    if vendor == "sqlite":
        return time.process_time
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT @@pid_file")
        server = psutil.Process(int(Path(cursor.fetchone()[0]).read_text()))

    def both() -> float:
        used = server.cpu_times()
        return time.process_time() + used.user + used.system

    return both


def _own_database(environment: dict[str, str], size: int) -> dict[str, str]:
    import MySQLdb

    address = urlsplit(environment["STAMPEDE_DATABASE_URL"])
    account = {"host": address.hostname, "port": address.port, "user": address.username, "password": address.password}
    name = f"test_match_{size}"
    with closing(MySQLdb.connect(**account)) as connection:
        connection.query(f"CREATE OR REPLACE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    return {**environment, "STAMPEDE_DATABASE_URL": address._replace(path=f"/{name}").geturl()}


# Without the people's rows, at which matching does not look. Addresses are scattered over the index as real ones are.
PREPARED = {"sqlite": "PRAGMA foreign_keys = OFF", "mysql": "SET foreign_key_checks = 0"}
FILLED = {
    "sqlite": """
INSERT INTO ico_depositaddress (chain, "index", address, invitation_id, issued_at)
WITH RECURSIVE place(n) AS (SELECT %(first)s UNION ALL SELECT n + 1 FROM place WHERE n < %(last)s)
SELECT 'ETH', n, '0x' || lower(hex(randomblob(20))), n, '2026-01-01 00:00:00' FROM place
""",
    "mysql": """
INSERT INTO ico_depositaddress (chain, `index`, address, invitation_id, issued_at)
SELECT 'ETH', seq, concat('0x', sha1(seq)), seq, '2026-01-01 00:00:00' FROM seq_1_to_1000000
WHERE seq BETWEEN %(first)s AND %(last)s
""",
}
COUNTED = {"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE ico_depositaddress"}


def _fill(size: int) -> list[str]:
    """The addresses that get paid. In parts, as a client does not wait for a statement for ever."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(PREPARED[connection.vendor])
        for first in range(1, size + 1, FILLED_AT_ONCE):
            cursor.execute(FILLED[connection.vendor], {"first": first, "last": min(size, first + FILLED_AT_ONCE - 1)})
        cursor.execute(COUNTED[connection.vendor])
        cursor.execute("SELECT count(*) FROM ico_depositaddress")
        if cursor.fetchone()[0] != size:
            sys.exit(f"not {size:,} addresses")
        cursor.execute("SELECT wire FROM ico_depositaddress WHERE id %% %s = 0 LIMIT %s", [size // OURS, OURS])
        return [row[0] for row in cursor.fetchall()]


if __name__ == "__main__":
    main()

"""A private MariaDB primary and its replicas: installed once and copied, replicating by GTID, administered through
their sockets by the operating system's user, for whom alone there is an account that may do everything."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.layout import HOST, NODES, CannotStart, Layout, user

DATABASE = "stampede"
ACCOUNT = "stampede"

# Text is compared byte by byte, as SQLite does. READ COMMITTED takes no gap locks, on which signups would queue. The
# memory is for a machine that carries everything else as well.
_OPTIONS = """\
[mariadbd]
datadir = {data}
tmpdir = {temporary}
socket = {socket}
pid-file = {pid}
port = {port}
bind-address = {host}
skip-name-resolve
server-id = {id}
character-set-server = utf8mb4
collation-server = utf8mb4_bin
transaction-isolation = READ-COMMITTED
log-bin = binlog
relay-log = relay
binlog-format = ROW
log-slave-updates
gtid-strict-mode
binlog-expire-logs-seconds = 86400
max-binlog-size = 128M
slave-parallel-mode = optimistic
slave-parallel-threads = 4
max-connections = 200
innodb-buffer-pool-size = {memory}
innodb-log-file-size = 64M
"""
_DURABLE = "innodb-flush-log-at-trx-commit = 1\nsync-binlog = 1\n"
# What a killed process wrote is safe with these too; what a dying machine had not written yet is lost. A replica
# fetches it again.
_RELAXED = "innodb-flush-log-at-trx-commit = 2\nsync-binlog = 0\n"


def options_file(layout: Layout, node: str) -> Path:
    return layout.conf / f"{node}.cnf"


def data_folder(layout: Layout, node: str) -> Path:
    return layout.folder / "mariadb" / node


def options(layout: Layout, node: str) -> str:
    """The node's option file. Only the primary has to keep what it acknowledged when the machine dies."""
    is_primary = node == NODES[0]
    text = _OPTIONS.format(
        data=data_folder(layout, node),
        temporary=layout.folder / "mariadb",
        socket=layout.socket(node),
        pid=layout.sockets / f"{node}.pid",
        port=layout.port(node),
        host=HOST,
        id=NODES.index(node) + 1,
        memory="128M" if is_primary else "64M",
    )
    text += _DURABLE if is_primary and not layout.relaxed else _RELAXED
    text += "" if is_primary else "read-only\n"
    return text + ("user = root\n" if os.geteuid() == 0 else "")  # the server refuses to be root unless told so


def command(layout: Layout, node: str) -> list[str]:
    return [shutil.which("mariadbd") or "/usr/sbin/mariadbd", f"--defaults-file={options_file(layout, node)}"]


def write(layout: Layout) -> None:
    """The option files, and the data folders that are missing: copies of a fresh one, for nothing in a folder that
    never ran tells servers apart. A replica without a past replays the primary's."""
    nodes = [node for node in NODES if layout.has(node)]
    for node in nodes:
        options_file(layout, node).write_text(options(layout, node))
    missing = [data_folder(layout, node) for node in nodes if not data_folder(layout, node).exists()]
    if not missing:
        return
    fresh = _installed(layout, layout.folder / "mariadb" / "fresh")
    for folder in missing:
        half = folder.with_suffix(".half")  # what was interrupted must not look like a data folder
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(fresh, half)
        half.rename(folder)
    shutil.rmtree(fresh)


def _installed(layout: Layout, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    name = user()
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}", f"--user={name}", "--skip-name-resolve"]
    install += ["--skip-test-db", "--auth-root-authentication-method=socket", f"--auth-root-socket-user={name}"]
    with open(layout.log("mariadb-install"), "wb") as log:
        code = subprocess.run(install, stdout=log, stderr=log, check=False).returncode  # noqa: S603 (our own arguments)
    if code:
        raise CannotStart(f"MariaDB could not be installed; {layout.log('mariadb-install')} says why")
    return folder


@contextmanager
def admin(layout: Layout, node: str) -> Iterator[Any]:
    """A cursor of the node's administrator; its rows are dicts."""
    from MySQLdb.cursors import DictCursor

    address = {"unix_socket": str(layout.socket(node)), "user": user(), "cursorclass": DictCursor}
    with _connection(**address) as cursor:
        yield cursor


@contextmanager
def as_application(layout: Layout, node: str) -> Iterator[Any]:
    """A cursor in the application's database, with what it may do on this node."""
    address = {"host": HOST, "port": layout.port(node), "user": ACCOUNT, "password": layout.password}
    with _connection(**address, database=DATABASE) as cursor:
        yield cursor


@contextmanager
def _connection(**address: Any) -> Iterator[Any]:
    import MySQLdb  # not installed with the embedded default, which must not miss it

    times = {"connect_timeout": 2, "read_timeout": 20, "write_timeout": 20}
    connection = MySQLdb.connect(**address, **times, charset="utf8mb4", autocommit=True)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def make_accounts(layout: Layout, node: str) -> None:
    """The accounts of application and replication on this node alone: a replica's own history must begin empty. The
    application may not write to a replica, and may make databases for tests."""
    with admin(layout, node) as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for name, password in ((ACCOUNT, layout.password), ("replication", layout.replication_password)):
            cursor.execute(f"CREATE OR REPLACE USER {name}@'127.0.0.1' IDENTIFIED BY %s", [password])
        cursor.execute(f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {ACCOUNT}@'127.0.0.1'")
        cursor.execute(f"GRANT ALL PRIVILEGES ON `test\\_%`.* TO {ACCOUNT}@'127.0.0.1'")
        cursor.execute("GRANT REPLICATION SLAVE ON *.* TO replication@'127.0.0.1'")


def make_database(layout: Layout) -> None:
    with admin(layout, NODES[0]) as cursor:
        cursor.execute("SET SESSION sql_notes = 0")  # that it is there already is no news
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")


def follow_the_primary(layout: Layout, replica: str) -> None:
    """Begin, or go on, where this replica's own position says."""
    source = [HOST, layout.port(NODES[0]), "replication", layout.replication_password]
    with admin(layout, replica) as cursor:
        cursor.execute("SET SESSION sql_notes = 0")  # STOP on one that never ran only says so
        cursor.execute("STOP SLAVE")
        cursor.execute(
            "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s,"
            " MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
            source,
        )
        cursor.execute("START SLAVE")


def replication(layout: Layout, replica: str) -> dict[str, Any]:
    """What the replica says of its replication: the columns of SHOW SLAVE STATUS; empty when it follows nobody."""
    with admin(layout, replica) as cursor:
        cursor.execute("SHOW SLAVE STATUS")
        return dict(cursor.fetchone() or {})

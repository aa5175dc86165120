"""Two slow-downs, planted in the middle of a run against the real stack, and each named by its record. Until then the
same run is the control: the same query with its index, the same visitors without the limit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local import layout, mariadb
from tests.absent import absent
from tests.deadline import until

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = "primary,redis,web,clock,nginx"
# Each signup asks for a word. Without the index all of them are read for it, which takes a core 0.2 s: four cores for
# the signups of a second.
PREPARED = (
    "USE stampede",  # where the sequences of MariaDB are looked for, too
    "CREATE TABLE words (word VARCHAR(250) NOT NULL) ENGINE=InnoDB",
    "INSERT INTO words SELECT CONCAT('word ', seq) FROM seq_1_to_300000",
    "ALTER TABLE words ADD INDEX found (word)",
    "CREATE TRIGGER asked BEFORE INSERT ON ico_entrant FOR EACH ROW"
    " SET @found = (SELECT COUNT(*) FROM words WHERE word = NEW.email)",
)
PLANTED_AT = 4  # second of the run
LASTS = 6  # seconds


@dataclass(frozen=True)
class Stack:
    folder: Path

    @property
    def layout(self) -> layout.Layout:
        return layout.load(self.folder)

    @contextmanager
    def signups(self, run_dir: Path, rate: int) -> Iterator[subprocess.Popen[str]]:
        """A run that goes on until it is interrupted."""
        command = [sys.executable, "manage.py", "stack", "run", "--folder", str(self.folder), "--"]
        command += ["loadtest", "run", "signup", "--host", f"http://127.0.0.1:{self.layout.port('nginx')}"]
        command += ["--users", str(rate * 300), "--rate", str(rate), "--arrivals", "constant", "--time-scale", "0.002"]
        command += ["--timeout", "5", "--run-dir", str(run_dir), "--no-audit"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=clean(), stdout=pipe, stderr=subprocess.STDOUT, text=True) as run:
            try:
                yield run
            finally:
                run.kill()  # its other processes notice, and end


def clean() -> dict[str, str]:
    """Without what the tests' own process uses."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("STAMPEDE_", "PROMETHEUS_"))}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in ("mariadbd", "redis-server", "nginx") if shutil.which(name, path=places) is None]
    if missing:
        absent(f"not installed here: {', '.join(missing)} (make test-packages)")
    with tempfile.TemporaryDirectory(prefix="stampede-planted-") as place:
        folder = Path(place) / "stack"

        def manage(action: str, *options: str) -> None:
            command = [sys.executable, "manage.py", "stack", action, "--folder", str(folder), *options]
            done = subprocess.run(command, cwd=ROOT, env=clean(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr

        try:
            manage("up", "--only", PROGRAMS, "--base-port", "0", "--relaxed")
            yield Stack(folder)
        finally:
            manage("down", "--wipe")


def recorded(stack: Stack, run_dir: Path, rate: int, plant: Callable[[Any], None]) -> dict[str, Any]:
    """The record of a run in whose fifth second something was planted, by who may do everything in the primary."""
    file, events = run_dir / "probes.jsonl", run_dir / "events.jsonl"

    def has_come(second: int) -> bool:
        assert run.poll() is None, run.communicate()[0]
        lines = file.read_text().splitlines() if file.exists() else []
        return any(json.loads(line)["at"] >= second for line in lines[:-1])

    # The administrator's connection is there before: there may be no room for another.
    with mariadb.admin(stack.layout, "primary") as cursor, stack.signups(run_dir, rate) as run:
        until(lambda: has_come(PLANTED_AT), "the moment to plant")
        plant(cursor)
        until(lambda: has_come(PLANTED_AT + LASTS), "the moment to end")
        run.send_signal(signal.SIGINT)  # nobody arrives any more
        until(lambda: events.exists() and "interrupt" in events.read_text(), "it ends")
        run.send_signal(signal.SIGINT)  # and nobody is waited for
        said = run.communicate(timeout=120)[0]
    assert (run_dir / "run.json").exists(), said
    return dict(json.loads((run_dir / "run.json").read_text()))


def limit_connections(cursor: Any) -> None:
    from MySQLdb import OperationalError  # not installed with the embedded default

    cursor.execute("SET GLOBAL max_connections = 10")
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = 'stampede'")
    for row in cursor.fetchall():
        with suppress(OperationalError):  # it has gone by itself
            cursor.execute("KILL SOFT CONNECTION %s", [row["id"]])


def test_a_limit_of_connections_is_named(stack: Stack, tmp_path: Path) -> None:
    record = recorded(stack, tmp_path / "run", 8, limit_connections)
    found = record["gave_way"]
    assert found["what"] == "connections", found
    assert found["since"] >= PLANTED_AT - 1, found
    assert "10 allowed" in found["evidence"][0], found
    assert record["counted"]["by"] == "edge"
    assert record["counted"]["requests"] == record["results"]["sent"]


def test_a_query_without_an_index_is_named_as_what_took_the_primarys_processors(stack: Stack, tmp_path: Path) -> None:
    with mariadb.admin(stack.layout, "primary") as cursor:
        for statement in ("SET GLOBAL max_connections = 200", *PREPARED):
            cursor.execute(statement)
    record = recorded(stack, tmp_path / "run", 20, lambda cursor: cursor.execute("DROP INDEX found ON stampede.words"))
    found = record["gave_way"]
    assert found["what"] == "primary cpu", found
    assert found["since"] >= PLANTED_AT - 1, found
    assert "a query without an index" in found["evidence"][0], found

"""Two slow-downs, planted in the middle of a run against the real stack, and each named by its record. Until then the
same run is the control: the same query with its index, the same visitors without the limit."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local import layout, mariadb
from loadtests import probes
from loadtests.causes import gave_way
from loadtests.frames import Frame
from loadtests.running import framefile
from loadtests.steps import Outcome
from tests.absent import absent
from tests.deadline import until

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[3]
PRIMARY = "mariadb.primary"
PROGRAMS = "primary,redis,web,clock,nginx"
WORDS = (
    "USE stampede",  # where the sequences of MariaDB are looked for, too
    "SET GLOBAL max_connections = 200",
    "CREATE TABLE words (word VARCHAR(250) NOT NULL) ENGINE=InnoDB",
    "INSERT INTO words SELECT CONCAT('word ', seq) FROM seq_1_to_100000",
    "ALTER TABLE words ADD INDEX found (word)",
)
# Each signup asks for a word so many times: an instant with the index, and without it all words are read each time.
ASKS = """CREATE TRIGGER asks BEFORE INSERT ON ico_entrant FOR EACH ROW BEGIN
    FOR time IN 1..{times} DO SET @found = (SELECT COUNT(*) FROM words WHERE word = NEW.email); END FOR; END"""
TOO_MUCH = 4  # times the processors that there are
CALM = 4  # seconds that are seen before something is planted
LASTS = 5  # seconds in which it is seen before the run is ended


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
        command += ["--timeout", "20", "--run-dir", str(run_dir), "--no-audit"]
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


@dataclass(frozen=True)
class Seen:
    """What a run has written down so far; of its last second not everybody may have said everything yet."""

    run_dir: Path

    @property
    def frames(self) -> list[Frame]:
        return framefile.read(self.run_dir)

    def gauge(self, name: str) -> list[float]:
        """By second; 0 where it was not learned."""
        series = probes.read(self.run_dir)
        return [value or 0.0 for value in series["gauges"].get(name, [])] if series else []

    @property
    def seconds(self) -> int:
        """Of which both the generators and the primary told."""
        return min(len(self.frames), len(self.gauge(f"{PRIMARY}.questions")))

    def was_calm(self) -> bool:
        last = self.frames[-CALM:]
        return self.seconds >= CALM and all(one.in_flight <= 10 and not failed(one) and signups(one) for one in last)


def failed(frame: Frame) -> bool:
    return any(outcome is not Outcome.SUCCESS for tally in frame.tallies.values() for outcome in tally.outcomes)


def signups(frame: Frame) -> bool:
    return "signup.post" in frame.tallies


def recorded(
    stack: Stack, run_dir: Path, rate: int, plant: Callable[[Any], None], felt: Callable[[Seen, int], bool]
) -> tuple[dict[str, Any], int]:
    """The record of a run that was calm until something was planted, by who may do everything in the primary, and that
    went on until it was `felt` since then; and the second before which it was not there."""
    seen, events = Seen(run_dir), run_dir / "events.jsonl"

    def going_on(condition: Callable[[], bool]) -> bool:
        assert run.poll() is None, run.communicate()[0]
        return condition()

    # The administrator's connection is there before: there may be no room for another.
    with mariadb.admin(stack.layout, "primary") as cursor, stack.signups(run_dir, rate) as run:
        until(lambda: going_on(seen.was_calm), "a calm run")
        planted = seen.seconds
        plant(cursor)
        until(lambda: going_on(lambda: felt(seen, planted)), "what was planted is felt")
        run.send_signal(signal.SIGINT)  # nobody arrives any more
        until(lambda: events.exists() and "interrupt" in events.read_text(), "it ends")
        run.send_signal(signal.SIGINT)  # and nobody is waited for
        said = run.communicate(timeout=120)[0]
        cut_off(cursor)  # else the stack would wait for what is still being asked when it goes down
    assert (run_dir / "run.json").exists(), said
    return dict(json.loads((run_dir / "run.json").read_text())), planted


def named(record: dict[str, Any], planted: int) -> dict[str, Any]:
    """What gave way since the calm in which something was planted, which is second 0 here. On a machine that was busy
    before it, visitors were served worse by others first, and the record says that."""
    begin = planted - CALM

    def cut(values: Any) -> Any:
        return {name: cut(one) for name, one in values.items()} if isinstance(values, dict) else values[begin:]

    results = record["results"]
    series = {name: cut(results[name]) for name in ("series", "by_step")}
    found = gave_way(results=results | series, probes=cut(record["probes"]))
    assert found is not None
    assert begin > 0 or record["gave_way"] == found
    return found


def limit_connections(cursor: Any) -> None:
    cursor.execute("SET GLOBAL max_connections = 10")
    cut_off(cursor)


def cut_off(cursor: Any) -> None:
    """All connections of the application, with what is asked through them."""
    from MySQLdb import OperationalError  # not installed with the embedded default

    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = 'stampede'")
    for row in cursor.fetchall():
        with suppress(OperationalError):  # it has gone by itself
            cursor.execute("KILL SOFT CONNECTION %s", [row["id"]])


def refused(seen: Seen, since: int) -> bool:
    turned_away = sum(value > 0 for value in seen.gauge(f"{PRIMARY}.connections_refused")[since:])
    return turned_away > 0 and sum(map(failed, seen.frames[since:])) >= LASTS


def test_a_limit_of_connections_is_named(stack: Stack, tmp_path: Path) -> None:
    record, planted = recorded(stack, tmp_path / "run", 8, limit_connections, refused)
    found = named(record, planted)
    assert found["what"] == "connections", found
    assert found["since"] >= CALM - 1, found
    assert "it allows 10 at a time" in " ".join(found["evidence"]), found
    assert record["counted"]["by"] == "edge"
    count = next(check for check in record["verdict"]["checks"] if check["name"] == "the target counted what was sent")
    assert count["mark"] == "holds", count


def too_many(cursor: Any, rate: int) -> int:
    """How often a signup may ask for a word before what is asked in a second is too much for all processors."""

    def took() -> float:
        began = time.monotonic()
        cursor.execute("SELECT COUNT(*) FROM words IGNORE INDEX (found) WHERE word = 'none'")
        return time.monotonic() - began

    return math.ceil(TOO_MUCH * (os.cpu_count() or 1) / rate / min(took() for _ in range(3)))


def scanned(seen: Seen, since: int) -> bool:
    rows, queries = (seen.gauge(f"{PRIMARY}.{name}")[since:] for name in ("rows_scanned", "questions"))
    read = sum(each > 1_000 * asked for each, asked in zip(rows, queries, strict=False))
    return read >= LASTS and sum(frame.in_flight >= 15 for frame in seen.frames[since:]) >= LASTS


def test_a_query_without_an_index_is_named_as_what_took_the_primarys_processors(stack: Stack, tmp_path: Path) -> None:
    rate = 6
    with mariadb.admin(stack.layout, "primary") as cursor:
        for statement in WORDS:
            cursor.execute(statement)
        cursor.execute(ASKS.format(times=too_many(cursor, rate)))
    record, planted = recorded(
        stack, tmp_path / "run", rate, lambda cursor: cursor.execute("DROP INDEX found ON stampede.words"), scanned
    )
    found = named(record, planted)
    assert found["what"] == "primary cpu", found
    assert found["since"] >= CALM - 1, found
    assert "a query without an index" in found["evidence"][0], found

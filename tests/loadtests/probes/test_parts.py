"""What a target consists of: by the port of a real process, and trees of which the answer is known."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.probes import parts, processes
from tests.deadline import until

# A program that listens, with a child that has its port as well, as a web server and its workers have.
LISTENS = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
child = os.fork()
if child:
    print(listening.getsockname()[1], child, flush=True)
sys.stdin.read()
"""


@contextmanager
def listening(**environment: str) -> Iterator[tuple[int, int, int]]:
    """Its port, its id and its child's."""
    pipe = subprocess.PIPE
    inherited = {**os.environ, **environment}
    with subprocess.Popen([sys.executable, "-c", LISTENS], stdin=pipe, stdout=pipe, text=True, env=inherited) as one:
        assert one.stdout is not None
        port, child = map(int, one.stdout.readline().split())
        yield port, one.pid, child


def test_a_port_leads_to_the_first_process_that_has_it_and_to_its_children() -> None:
    with listening() as (port, first, child):
        found = parts.here(port)
        assert (found.roots, found.ports, found.supervisor) == ({"web": first}, {"web": port}, None)
        assert sorted(parts.members(found.roots, parts.parents())["web"]) == sorted([first, child])


def test_where_its_parts_are_is_said_by_its_own_environment(tmp_path: Path) -> None:
    said = {
        "STAMPEDE_DATABASE_URL": "mysql://stampede:secret@10.9.8.7:3306/stampede",
        "STAMPEDE_REPLICA_URLS": "mysql://a:secret@10.9.8.8:3306/s,mysql://a:secret@10.9.8.9:3306/s",
        "STAMPEDE_REDIS_URL": "redis://:secret@10.9.8.6:6379/0",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "STAMPEDE_WEB_WORKERS": "3",
        "STAMPEDE_WEB_THREADS": "5",
    }
    with listening(**said) as (port, _, _):
        found = parts.here(port)
    assert list(found.databases) == ["primary", "replica1", "replica2"]
    assert found.redis == said["STAMPEDE_REDIS_URL"]
    assert (found.metrics_folder, found.threads) == (tmp_path, 15)
    assert found.metrics_url == f"http://127.0.0.1:{port}/metrics"
    assert "secret" not in repr(found)


def test_nobody_at_a_port_is_nothing_to_watch() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    assert parts.here(port) == parts.Parts()


def test_each_process_belongs_to_the_nearest_program_above_it() -> None:
    above = {1: 0, 10: 1, 20: 10, 21: 20, 22: 21, 30: 10, 99: 1}
    assert parts.members({"web": 20, "laboratory": 10, "gone": 77}, above) == {
        "web": [20, 21, 22],
        "laboratory": [10, 30],
        "gone": [],
    }


def test_what_a_program_takes_is_seen_and_it_is_gone_when_it_ends() -> None:
    with listening() as (port, _, _):
        watch = processes.Processes(parts.here(port))
        first = watch.read()["groups"]["web"]
        assert (first["cpu"], first["processes"]) == (None, 2)  # nothing to compare with yet
        assert first["rss_bytes"] > 1_000_000
        assert first["sockets"] == 2
        second = watch.read()["groups"]["web"]
        assert 0 <= second["cpu_busiest"] <= second["cpu"] < 2.5
    assert "web" not in watch.read()["groups"]


def test_a_busy_process_takes_its_core() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as burning:
        try:
            watch = processes.Processes(parts.Parts(roots={"web": burning.pid}))
            watch.read()
            took = until(lambda: (watch.read()["groups"]["web"]["cpu"] or 0) > 0.05, "it takes what it can get")
        finally:
            burning.kill()
    assert took

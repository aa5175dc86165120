"""Several processes count in one folder, as containers do that share it: each of them believes that it is process 1."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from config import counting

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = """
import os, socket, sys
os.getpid, socket.gethostname = lambda: 1, lambda: sys.argv[1]
from config import metrics
for line in sys.stdin:
    metrics.MAILS.labels("place", "sent").inc(int(line))
    print("counted", flush=True)
"""


@contextmanager
def container(host: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "STAMPEDE_DATA": str(folder),
        counting.FOLDER: str(folder),
    }
    command = [sys.executable, "-c", CONTAINER, host]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process


def count(process: subprocess.Popen[str], number: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "counted\n"


def counted_by(first_host: str, second_host: str, folder: Path) -> float | None:
    with container(first_host, folder) as first, container(second_host, folder) as second:
        for process, number in ((first, 1), (second, 2), (first, 4), (second, 8), (first, 16)):
            count(process, number)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry.get_sample_value("stampede_mails_total", {"kind": "place", "outcome": "sent"})


def test_containers_do_not_undo_what_others_count(tmp_path: Path) -> None:
    assert counted_by("3f1c", "9ab2", tmp_path) == 31


def test_of_two_with_one_name_something_is_lost(tmp_path: Path) -> None:
    lost = counted_by("3f1c", "3f1c", tmp_path)
    assert lost is not None
    assert lost < 31


def test_the_end_of_a_worker_takes_what_it_said_of_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(counting.FOLDER, str(tmp_path))
    files = [tmp_path / f"{kind}_{counting.name(pid)}.db" for kind in ("gauge_livesum", "counter") for pid in (7, 8)]
    for file in files:
        file.touch()
    gunicorn = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    gunicorn["child_exit"](None, SimpleNamespace(pid=7))
    assert [file.exists() for file in files] == [False, True, True, True]

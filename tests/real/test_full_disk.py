"""A primary whose disk is full, on a disk of its own that is small enough to fill."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deadline import until
from tests.real.conftest import Answer, Site, Stack, gunicorn, servers

pytestmark = pytest.mark.process
MEGABYTES = 400


@contextmanager
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stampede-disk-") as place:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"no file system of its own for the primary: {mounted.stderr.decode().strip()}")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    with small_disk() as place:
        yield place


@pytest.fixture(scope="module")
def stack(disk: Path) -> Iterator[Stack]:
    with servers(disk / "stack", "primary") as made:
        yield made


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No block of it is free any more."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue
        yield
    finally:
        filler.unlink()


def test_a_full_disk_is_503_in_time_and_what_was_acknowledged_is_there(
    stack: Stack, disk: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(stack.layout.data, tmp_path / "data")  # the web server's own disk is another
    with gunicorn(stack, STAMPEDE_DATA=str(data)) as site:
        acknowledged = [email for email in (f"before{n}@example.org" for n in range(5)) if taken(site, email) == 202]
        assert len(acknowledged) == 5
        with filled(disk):
            answers, seconds = until_refused(site, acknowledged)
            refused = answers[-1]
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            assert seconds < 45, "the read time-out ends it"
            # From now on one writer at a time waits; all others are told at once, and readers find a thread.
            with ThreadPoolExecutor(12) as crowd:
                waiting = [crowd.submit(timed, site, f"crowd{number}@example.org") for number in range(12)]
                for path in ("/", "/api/board"):
                    assert site.get(path).status == 200, path
                told = sorted(one.result() for one in waiting)
            assert {status for _, status in told} == {503}
            assert told[-2][0] < 10, "at most one of them waited"
        until(lambda: taken(site, "after@example.org") == 202, "with room again, signups are taken")
        acknowledged.append("after@example.org")
        kept = stack.python("out = list(models.Entrant.objects.values_list('email', flat=True))")
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))
        assert "did not answer in time" in site.log() or "disk is full" in site.log()


def timed(site: Site, email: str) -> tuple[float, int]:
    began = time.monotonic()
    status = taken(site, email)
    return time.monotonic() - began, status


def taken(site: Site, email: str) -> int:
    return site.post("/signup/", email=email).status


def until_refused(site: Site, acknowledged: list[str]) -> tuple[list[Answer], float]:
    """Sign up until a signup is not taken; MariaDB still has some room in its own files. Returns the answers and how
    long the last one took."""
    answers: list[Answer] = []
    for number in range(5000):
        email, began = f"full{number}@example.org", time.monotonic()
        answers.append(site.post("/signup/", email=email))
        if answers[-1].status != 202:
            return answers, time.monotonic() - began
        acknowledged.append(email)
    return pytest.fail("the disk was never full")

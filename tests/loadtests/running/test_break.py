"""`loadtest break` from the command line to its record, by whole runs against a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.loadtests.small_sale import serving

pytestmark = pytest.mark.process


def broken(host: str, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """A search that may do no more than measure one rate and confirm it."""
    options = ["--host", host, "--start", "5", "--most", "5", "--seconds", "3", "--time-scale", "0.001"]
    return subprocess.run(
        [sys.executable, "manage.py", "loadtest", "break", "signup", *options, "--run-dir", str(folder), *more],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_rate_is_climbed_to_and_confirmed_by_whole_runs(tmp_path: Path) -> None:
    with serving() as sale:
        done = broken(sale.url, tmp_path / "break", "--limit", "p50(*) < 20s", "--no-audit")
        assert len(sale.emails) >= 2 * 5 * 3
    assert done.returncode == 0, done.stdout + done.stderr
    assert "at least 5/s keeps the limits; the search ended at the highest rate that was asked for" in done.stdout
    kept = json.loads((tmp_path / "break" / "break.json").read_text())
    assert kept["found"]["rate"] == 5
    assert {point["purpose"] for point in kept["points"]} >= {"climb", "confirm"}
    held = [point for point in kept["points"] if point["mark"] == "held"]
    assert all(point["answered"] > 5 and point["why"] == [] for point in held)
    for point in kept["points"]:
        record = json.loads((tmp_path / "break" / point["run"] / "run.json").read_text())
        assert record["results"]["visitors"]["finished"] == record["plan"]["users"]
    assert "no law is fitted" in kept["scalability"]["sentence"]


def test_a_host_that_is_no_target_is_sent_nothing(tmp_path: Path) -> None:
    with serving(environment="") as sale:
        done = broken(sale.url, tmp_path / "break")
        assert not sale.emails
    assert done.returncode == 3
    assert not (tmp_path / "break").exists()
    assert "not declared itself a load target" in done.stderr

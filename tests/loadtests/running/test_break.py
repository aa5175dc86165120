"""`loadtest break` from the command line to its record, by whole runs against a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from loadtests import ledger, plans
from loadtests.calibrating import certificate
from loadtests.capacity import pressure
from loadtests.capacity.breaking import Ask, Mark, Purpose
from loadtests.comparison import many
from tests.loadtests.small_sale import serving

pytestmark = pytest.mark.process


def broken(host: str, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """A search that may do no more than measure one rate and confirm it."""
    options = ["--host", host, "--start", "5", "--most", "5", "--seconds", "1", "--time-scale", "0.001"]
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
        done = broken(sale.url, tmp_path / "break", "--limit", "p50(*) < 20s", "--limit", "rate > 900/s", "--no-audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(sale.emails) >= 5 * (1 + 3)
    assert "at least 5/s keeps the limits; the search ended at the highest rate that was asked for" in done.stdout
    kept = json.loads((tmp_path / "break" / "break.json").read_text())
    assert kept["found"]["rate"] == 5
    assert "p50(*) < 20s" in kept["plan"]["limits"]
    assert "rate > 900/s" not in kept["plan"]["limits"]  # no rate of the plan's own is asked of another rate
    assert {point["purpose"] for point in kept["points"]} >= {"climb", "confirm"}
    held = [point for point in kept["points"] if point["mark"] == "held"]
    assert all(point["answered"] > 5 and point["why"] == [] for point in held)
    for point in kept["points"]:
        record = json.loads((tmp_path / "break" / point["run"] / "run.json").read_text())
        assert record["results"]["visitors"]["finished"] == record["plan"]["users"]
    assert "no law is fitted" in kept["scalability"]["sentence"]
    entered = [Path(entry.run["run_dir"]).name for entry in ledger.read(tmp_path).entries]
    assert entered == [point["run"] for point in kept["points"]]


def test_beyond_what_this_host_is_certified_for_a_run_of_several_is_not_believed(tmp_path: Path) -> None:
    """The certificate lies in the folder of all runs, wherever those of a search are."""
    with serving() as sale:
        base = plans.make(
            scenario="signup", users=5, rate=5.0, duration=None, arrivals="constant", time_scale=0.001, seed=1,
            host=sale.url,
        )  # fmt: skip
        ask = Ask(5.0, Purpose.CLIMB)
        plan = pressure.at_rate(base, ask=ask, seconds=1, seed=1)
        certificate.write(tmp_path / "runs", rate=2.0, sessions=1000, processes=1, at="today", rungs=[])
        several = many.begin(chosen=tmp_path / "elsewhere", root=tmp_path / "runs", what="break", command="")
        ran = several.one(plan, "climb-5")
    assert ran.kept["certificate"]["rate"] == 2
    found = pressure.point(plan=plan, ask=ask, kept=ran.kept, frames=ran.frames, run=ran.name)
    assert found.mark is Mark.UNKNOWN
    assert any("certified" in why for why in found.why)


def test_a_host_that_is_no_target_is_sent_nothing(tmp_path: Path) -> None:
    with serving(environment="") as sale:
        done = broken(sale.url, tmp_path / "break")
        assert not sale.emails
    assert done.returncode == 3
    assert not (tmp_path / "break").exists()
    assert "not declared itself a load target" in done.stderr

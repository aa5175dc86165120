"""`manage.py loadtest`, as somebody types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from loadtests import plans, runs
from loadtests.actions import run
from loadtests.mailbox import Invitation
from loadtests.planning import plan_files

from .small_sale import serving

FAST = ("--users", "3", "--rate", "100", "--time-scale", "0.001")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_run_leaves_its_record_and_report_and_does_not_pass_without_an_audit(run_dir: Path) -> None:
    with serving() as sale:
        options = ["--host", sale.url, "--run-dir", str(run_dir), "--no-audit", "--intention", "to see it again"]
        done = subprocess.run(
            [sys.executable, "manage.py", "loadtest", "run", "signup", *FAST, *options],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert len(sale.emails) == 3
    assert done.returncode == 3, done.stderr
    assert "books not audited" in done.stdout
    left = {file.name for file in run_dir.iterdir()}
    assert {"acknowledged.jsonl", "frames.jsonl", "plan.toml", "report.html", "run.json"} <= left
    assert not {"live.json", "reserve", "run.mark"} & left, "what a run needs while it goes on is taken away"
    kept = json.loads((run_dir / "run.json").read_text())
    assert kept["verdict"]["outcome"] == "INVALID"
    assert kept["results"]["visitors"]["finished"] == 3
    assert kept["command"] == f"manage.py loadtest run {run_dir}/plan.toml --no-audit", "as written, from anywhere"
    again = plan_files.chosen(f"{run_dir}/plan.toml", default_host="")
    assert again == plans.Plan.from_json(kept["plan"])
    assert kept["plan"]["host"] == sale.url


def test_the_command_that_runs_it_again_has_what_is_no_part_of_a_plan(tmp_path: Path) -> None:
    plan = plan_files.chosen("purchase", default_host="http://127.0.0.1:8000", users=3)
    nothing = dict.fromkeys(("mailbox", "links", "wait_for_mail", "workers", "no_audit", "processes"))
    assert run.again(nothing, plan, tmp_path).startswith("manage.py loadtest run purchase --users 3")
    given = {**nothing, "links": tmp_path / "my links", "wait_for_mail": 9.0, "workers": 2, "bind": "10.0.0.1:5557"}
    assert run.again(given, plan, tmp_path).endswith(
        f"--links '{tmp_path}/my links' --wait-for-mail 9 --workers 2 --bind 10.0.0.1:5557"
    )


def test_other_hosts_are_refused_before_anything_is_made(run_dir: Path) -> None:
    with pytest.raises(CommandError, match="only loopback hosts") as refused:
        call_command("loadtest", "run", "signup", "--host", "http://192.0.2.1", "--run-dir", str(run_dir))
    assert refused.value.returncode == 3
    assert not run_dir.exists()


def test_a_purchase_without_enough_links_sends_nothing(run_dir: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    with serving() as sale:
        links.write_text(f"{sale.url}/i/a/\n")
        with pytest.raises(CommandError, match="3 visitors need 3 unused invitation links"):
            call_command(
                "loadtest",
                "run",
                "purchase",
                *FAST,
                "--host",
                sale.url,
                "--run-dir",
                str(run_dir),
                "--links",
                str(links),
            )
        assert sale.connections == 0


def test_links_of_an_earlier_run_are_not_used_again(tmp_path: Path) -> None:
    links, earlier = tmp_path / "links", tmp_path / "earlier"
    earlier.mkdir()
    links.write_text("/i/a/\n")
    (earlier / "spent-invitations.jsonl").write_text(json.dumps({"mark": Invitation("/i/a/").mark}) + "\n")
    with serving() as sale, pytest.raises(CommandError, match="has 0"):
        call_command(
            "loadtest", "run", "purchase", "--users", "1", "--host", sale.url,
            "--run-dir", str(tmp_path / "run"), "--links", str(links),
        )  # fmt: skip


def test_an_invitation_to_another_host_is_refused_at_the_start(run_dir: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.write_text("http://sale.example/i/a/\n")
    with serving() as sale:
        with pytest.raises(CommandError, match="an invitation leads elsewhere"):
            call_command(
                "loadtest", "run", "purchase", "--users", "1", "--host", sale.url,
                "--run-dir", str(run_dir), "--links", str(links),
            )  # fmt: skip
        assert sale.connections == 0


def test_a_used_run_directory_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with serving() as sale, pytest.raises(CommandError, match="not empty"):
        call_command("loadtest", "run", "signup", "--host", sale.url, "--run-dir", str(tmp_path))


def test_a_run_directory_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving() as sale, pytest.raises(CommandError, match="cannot be written"):
        call_command("loadtest", "run", "signup", "--host", sale.url, "--run-dir", str(tmp_path / "file" / "x"))


def test_a_mistake_in_the_plan_is_named(run_dir: Path) -> None:
    with pytest.raises(CommandError, match="--users must be"):
        call_command("loadtest", "run", "signup", "--users", "0", "--run-dir", str(run_dir))


def test_what_nobody_foresaw_is_no_broken_limit(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*given: object, **named: object) -> None:
        raise ZeroDivisionError("of something")

    monkeypatch.setattr(runs, "execute", breaks)
    with pytest.raises(CommandError, match=r"the laboratory broke .ZeroDivisionError: of something") as refused:
        call_command("loadtest", "run", "signup", "--host", "http://127.0.0.1:1", "--run-dir", str(run_dir))
    assert refused.value.returncode == 3
    assert "in breaks" in capsys.readouterr().err

import csv
import io
import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadtests import ledger, plans, spreadsheet, surroundings

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
PLAN = plans.make(
    scenario="signup",
    users=300,
    rate=50.0,
    duration=None,
    arrivals="poisson",
    time_scale=0.1,
    seed=1,
    host="http://127.0.0.1:8000",
)


def record(run_id: str, measured: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "name": "signup",
        "intention": "",
        "command": "manage.py loadtest run signup",
        "plan": json.loads(json.dumps(PLAN.as_json())),
        "environment": {"laboratory_commit": "abc", "laboratory_settings_hash": "1", "host": "h"},
        "verdict": {"outcome": "PASSED", "exit_code": 0, "sentence": "Good.", "checks": []},
        "results": measured,
        **changes,
    }


def enter(folder: Path, run_id: str, **changes: Any) -> None:
    ledger.append(folder, ledger.line_of(record(run_id, **changes), run_dir=folder / run_id, now=NOW))


def ids(folder: Path) -> list[str]:
    return [entry.run_id for entry in ledger.read(folder).entries]


def test_a_run_is_a_line_with_what_is_needed_to_tell_it_apart_and_repeat_it(
    tmp_path: Path, measured: dict[str, Any]
) -> None:
    enter(tmp_path, "a1", measured=measured)
    run = ledger.read(tmp_path).find("a1").run
    assert plans.Plan.from_json(run["plan"]) == PLAN
    assert (run["outcome"], run["results"]["requests"], run["results"]["visitors"]["finished"]) == ("PASSED", 10, 10)
    assert run["results"]["latency_ms"]["p99"] == pytest.approx(20, rel=0.01)
    assert len((tmp_path / ledger.FILE).read_bytes()) < 5_000


def test_an_absent_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert ledger.read(tmp_path) == ledger.Ledger([], 0)


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_line_costs_itself_and_nothing_else(tmp_path: Path, cut: int) -> None:
    for run_id in ("a1", "b2"):
        enter(tmp_path, run_id)
    file = tmp_path / ledger.FILE
    file.write_bytes(file.read_bytes()[:-cut])
    before = file.read_bytes()
    enter(tmp_path, "c3")
    assert ids(tmp_path) == (["a1", "b2", "c3"] if cut == 1 else ["a1", "c3"])
    assert ledger.read(tmp_path).torn == (0 if cut == 1 else 1)
    assert file.read_bytes().startswith(before)  # nothing that was written is changed


@pytest.mark.parametrize("rubbish", [b"\xff\xfe", b"[]", b"{}", b'{"kind": "run", "run_id": 3}', b'{"kind": "run"}'])
def test_rubbish_is_counted_and_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / ledger.FILE).write_bytes(rubbish + b"\n\n")
    enter(tmp_path, "a1")
    assert (ids(tmp_path), ledger.read(tmp_path).torn) == (["a1"], 1)


def _write_many(folder: Path, name: str) -> None:
    for number in range(25):
        enter(folder, f"{name}{number:02}")


def test_writers_at_the_same_time_tear_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert ledger.read(tmp_path).torn == 0
    assert sorted(ids(tmp_path)) == sorted(f"{name}{number:02}" for name in "ab" for number in range(25))


def test_notes_stand_beside_their_run_and_change_nothing_of_it(tmp_path: Path) -> None:
    enter(tmp_path, "a1")
    before = (tmp_path / ledger.FILE).read_bytes()
    ledger.note(tmp_path, run_id="a", text="quiet", changes="more threads", links=["http://x/y"], now=NOW)
    assert (tmp_path / ledger.FILE).read_bytes().startswith(before)
    (note,) = ledger.read(tmp_path).find("a1").notes
    assert (note["text"], note["changes"], note["links"]) == ("quiet", "more threads", ["http://x/y"])


def test_a_run_that_is_not_there_or_could_be_two_is_not_noted(tmp_path: Path) -> None:
    enter(tmp_path, "a1")
    enter(tmp_path, "a2")
    before = (tmp_path / ledger.FILE).read_bytes()
    for run_id, reason in (("b", "has 0 runs"), ("a", "begins a1, a2")):
        with pytest.raises(ledger.NoSuchRun, match=reason):
            ledger.note(tmp_path, run_id=run_id, text="x", changes="", links=[], now=NOW)
    assert (tmp_path / ledger.FILE).read_bytes() == before


def test_the_spreadsheet_has_the_columns_people_keep_and_says_what_changed(
    tmp_path: Path, measured: dict[str, Any]
) -> None:
    enter(tmp_path, "a1", measured=measured)
    other = {"laboratory_commit": "def", "laboratory_settings_hash": "2", "host": "h"}
    enter(tmp_path, "b2", environment=other, intention="=cmd()")
    enter(tmp_path, "c3", environment=other)
    ledger.note(tmp_path, run_id="c3", text="again", changes="nothing", links=["http://x/y"], now=NOW)
    sheet = list(csv.DictReader(io.StringIO(spreadsheet.as_csv(ledger.read(tmp_path).entries))))
    assert list(sheet[0]) == ["Date", "Time", "Changes", "Focus", "Users", "Users/Second", "Results", "Notes", "Links"]
    first, second, third = sheet
    assert (first["Date"], first["Time"], first["Users"], first["Users/Second"]) == ("2026-11-21", "10:30", "300", "50")
    assert first["Results"].startswith("PASSED: 0 of 10 failed")
    assert second["Changes"] == "laboratory's commit def; laboratory's settings"
    assert second["Results"] == "PASSED: nothing was measured"
    assert second["Focus"] == "'=cmd()"  # a text, never a formula
    assert (third["Changes"], third["Notes"]) == ("nothing", "again")
    assert third["Links"].endswith("report.html http://x/y")


def test_settings_are_told_apart_without_their_secrets() -> None:
    plain = {"STAMPEDE_BROKER": "sqs", "STAMPEDE_SECRET_KEY": "a", "HOME": "/root", "STAMPEDE_DATA": "/a"}
    same = surroundings.settings_hash(plain)
    for name, value in {
        "STAMPEDE_SECRET_KEY": "b",
        "HOME": "/",
        "STAMPEDE_DATA": "/b",
        "STAMPEDE_LOAD_KEY": "x",
    }.items():
        assert surroundings.settings_hash({**plain, name: value}) == same
    assert surroundings.settings_hash({**plain, "STAMPEDE_BROKER": "folder"}) != same
    urls = [{"STAMPEDE_REDIS_URL": f"redis://:{word}@127.0.0.1:6379/0"} for word in ("one", "two")]
    assert surroundings.settings_hash(urls[0]) == surroundings.settings_hash(urls[1])
    assert surroundings.settings_hash({"STAMPEDE_REDIS_URL": "redis://other/0"}) != surroundings.settings_hash(urls[0])


def test_what_a_record_says_of_its_host_is_not_its_name() -> None:
    import platform

    said = json.dumps(surroundings.environment())
    assert platform.node() not in said
    assert len(surroundings.host()) == 12

"""Runs that are going on, told by their folders."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadtests import record
from loadtests.frames import Frame
from loadtests.running import framefile, live


def test_a_run_tells_of_itself_and_stops_telling(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    telling = live.Telling(run_dir=tmp_path / "one", run_id="abc", title="a run")
    telling.tell({"arrived": 3})
    (found,) = live.below([tmp_path])
    assert (found.run_id, found.progress, found.pid, found.alive) == ("abc", {"arrived": 3}, os.getpid(), True)
    for which in ("abc", "one", str(tmp_path / "one")):
        assert live.find(which, [tmp_path]).run_dir == tmp_path / "one"
    telling.end()
    assert list(live.below([tmp_path])) == []
    with pytest.raises(live.NotRunning, match="no run abc"):
        live.find("abc", [tmp_path])


def test_a_number_that_was_given_to_another_process_is_not_stopped(tmp_path: Path) -> None:
    live.Telling(run_dir=tmp_path, run_id="abc", title="a run")
    told = json.loads((tmp_path / live.NAME).read_text())
    (tmp_path / live.NAME).write_text(json.dumps({**told, "born": told["born"] - 60}))
    found = live.read(tmp_path)
    assert found is not None
    assert not found.alive
    with pytest.raises(live.NotRunning, match="is over"):
        live.stop(found, at_once=False)


@pytest.mark.parametrize(("at_once", "number"), [(False, signal.SIGINT), (True, signal.SIGTERM)])
def test_stopping_is_what_ctrl_c_is(tmp_path: Path, at_once: bool, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        born = psutil.Process(other.pid).create_time()
        told = {"run_id": "abc", "title": "", "pid": other.pid, "born": born, "since": 0, "progress": {}}
        (tmp_path / live.NAME).write_text(json.dumps(told))
        live.stop(live.find(str(tmp_path), []), at_once=at_once)
        assert other.wait(60) in (-number, 1, 130)  # a Python that is interrupted before it listens says 1
        assert (other.returncode == -signal.SIGTERM) is at_once


def test_half_a_line_of_a_dying_conductor_is_no_frame(tmp_path: Path) -> None:
    file = framefile.FrameFile(tmp_path)
    file.append(Frame(at=0, worker=1).as_json(), [])
    file.close()
    with (tmp_path / framefile.NAME).open("a") as half:
        half.write('{"at": 1, "wor')
    assert [frame.at for frame in framefile.read(tmp_path)] == [0]
    assert file.full == ""


def test_the_reserve_is_given_up_when_the_disk_is_full_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    (tmp_path / framefile.NAME).symlink_to("/dev/full")
    (tmp_path / framefile.RESERVE).write_bytes(b"x")
    file = framefile.FrameFile(tmp_path)
    file.append({}, [])
    assert file.full == "the record cannot be written: No space left on device"
    assert file.lost == 1
    assert not (tmp_path / framefile.RESERVE).exists()
    file.close()


def test_evidence_from_elsewhere_is_written_to_files_of_evidence_only(tmp_path: Path) -> None:
    file = framefile.FrameFile(tmp_path)
    file.append({}, [("acknowledged.jsonl", {"email": "a"}), ("../run.json", {}), ("run.json", {})])
    file.close()
    assert (tmp_path / "acknowledged.jsonl").read_text() == '{"email": "a"}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acknowledged.jsonl", framefile.NAME]
    assert not (tmp_path.parent / "run.json").exists()


def test_a_record_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(record.RunDirUnusable, match="cannot be written"):
        record.write(run_dir=tmp_path / "gone", content={})

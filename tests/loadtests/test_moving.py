"""What moves the data is a process that begins before the visitors and ends with the run."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests import moving, plans
from loadtests.beside import Running
from loadtests.target import Target, TargetRefused
from tests.deadline import until

LINE = json.dumps({"kind": "price", "done": 1.0})
FAILED = json.dumps({"kind": "failed", "why": "Lock wait timeout", "done": 1.0})
SCRIPT = f"import sys; print('{LINE}', flush=True); sys.stdin.read(); print('{LINE}', flush=True)"


def running(folder: Path, events: list[str], address: str = "127.0.0.1") -> Running:
    shape: dict[str, Any] = {"rate": 1.0, "duration": None, "arrivals": "constant", "time_scale": 0.01, "seed": 1}
    plan = plans.make(scenario="browse", users=1, host="http://127.0.0.1:1", **shape)
    target = Target("http", "shop.example", 80, address)
    stop = events.append
    return Running("test", folder, plan, target, 0.0, stop=stop, leave=stop, event=events.append)


def test_it_moves_from_before_the_run_to_its_end(tmp_path: Path) -> None:
    events: list[str] = []
    mover = moving.Moving(rate=2, seed=1, command=[sys.executable, "-c", SCRIPT])
    mover.start(running(tmp_path, events))
    assert len(moving.read(tmp_path)) == 1
    mover.stop()
    assert len(moving.read(tmp_path)) == 2, "what it says while it ends is kept"
    assert events == ["the shop's data moves, 2 changes a second"]
    told = moving.told(tmp_path)
    assert told is not None
    assert (told["alive"], told["changed"], told["rate"], told["failed"]) == (True, 1, 2, 0)


def test_what_ends_before_the_run_and_what_fails_is_kept(tmp_path: Path) -> None:
    events: list[str] = []
    script = f"print('{FAILED}', flush=True); print('{LINE}', flush=True)"
    mover = moving.Moving(rate=2, seed=1, command=[sys.executable, "-c", script])
    mover.start(running(tmp_path, events))
    until(lambda: len(events) == 2, "the end of it was told")
    assert "no longer" in events[1]
    mover.stop()
    told = moving.told(tmp_path)
    assert told is not None
    assert (told["alive"], told["changed"], told["failed"]) == (False, 1, 1)


def test_changes_that_fail_move_nothing(tmp_path: Path) -> None:
    fails = moving.Moving(rate=2, seed=1, command=[sys.executable, "-c", f"print('{FAILED}', flush=True)"])
    with pytest.raises(TargetRefused, match="does not move: Lock wait timeout"):
        fails.start(running(tmp_path, []))


def test_a_run_whose_data_cannot_move_is_refused(tmp_path: Path) -> None:
    dies = moving.Moving(rate=2, seed=1, command=[sys.executable, "-c", "raise SystemExit('no shop here')"])
    with pytest.raises(TargetRefused, match="does not move: no shop here"):
        dies.start(running(tmp_path, []))
    with pytest.raises(TargetRefused, match="another machine"):
        moving.Moving(rate=2, seed=1).start(running(tmp_path, [], address="192.0.2.1"))

"""A run of the real generator process against the small sale."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests import launch, plans, record
from loadtests.mailbox import Invitation

Drive = Callable[..., dict[str, Any]]


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Runs a plan, and returns what was measured with the lines of `acknowledged.jsonl` beside it."""

    def run(
        host: str, scenario: str = "signup", users: int = 5, links: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        shape = {"rate": 100.0, "duration": None, "arrivals": "constant", "time_scale": 0.001, "seed": 7, **changes}
        plan = plans.make(scenario=scenario, users=users, host=host, **shape)
        run_dir = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        run_dir.mkdir()
        invitations = [Invitation(link) for link in links or []]
        launch.drive(plan=plan, run_dir=run_dir, run_id="test", links=invitations, show=lambda progress: None)
        measured = record.measured(run_dir)
        assert measured is not None
        promises = run_dir / "acknowledged.jsonl"
        lines = promises.read_text().splitlines() if promises.exists() else []
        return {**measured, "acknowledged": [json.loads(line) for line in lines], "run_dir": run_dir}

    return run


@pytest.fixture
def measured() -> dict[str, Any]:
    """What a run in which everything went well has measured."""
    from loadtests.first_stats import Outcome, Recorder

    ticks = iter([0.0] * 100)
    recorder = Recorder(clock=lambda: next(ticks))
    for _ in range(10):
        recorder.arrival(late_seconds=0.001)
        recorder.answer(step="signup.post", seconds=0.020, outcome=Outcome.SUCCESS)
    recorder.tick(in_flight=0, present=10, cpu=0.25)
    recorder.tick(in_flight=0, present=0, cpu=0.05)
    visitors = {"planned": 10, "arrived": 10, "finished": 10, "gave_up": 0, "cut_off": 0}
    base = {"started_at": 1_795_255_200.0, "seconds": 2.0, "ended_by": "plan", "visitors": visitors}
    return {**base, **recorder.as_json()}

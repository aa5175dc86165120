"""Visitors driven against the small sale, in this process: the engine and a worker's share of a run, without the
processes and messages around them (those are in tests/loadtests/running)."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadtests import plans, stats
from loadtests.crowd import Crowd
from loadtests.frames import Frame, Recorder
from loadtests.mailbox import Invitation
from loadtests.running.driving import Driving
from loadtests.scenarios import SCENARIOS
from loadtests.sessions import Engine, seconds_since
from loadtests.steps import Ending, Outcome
from loadtests.target import resolve
from tests.loadtests.small_plan import small_plan

Drive = Callable[..., dict[str, Any]]


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Runs a plan, and returns what was measured with the lines of `acknowledged.jsonl` beside it."""

    def run(
        host: str, scenario: str = "signup", users: int = 5, links: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        plan = small_plan(scenario=scenario, users=users, host=host, **changes)
        run_dir = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        run_dir.mkdir()
        began = time.time()
        frames = driven(plan, run_dir, dict(enumerate(map(Invitation, links or []))), began=began)
        took = time.time() - began
        measured = stats.measured(frames, plan=plan, started_at=began, seconds=took, ended_by="plan")
        promises = run_dir / "acknowledged.jsonl"
        lines = promises.read_text().splitlines() if promises.exists() else []
        return {**measured, "acknowledged": [json.loads(line) for line in lines], "run_dir": run_dir}

    return run


def driven(
    plan: plans.Plan,
    run_dir: Path,
    links: dict[int, Invitation],
    *,
    began: float,
    may_begin: Callable[[], bool] = lambda: True,
) -> list[Frame]:
    """The frames of all arrivals of a plan, driven to their end by one share."""
    clock = seconds_since(began)
    recorder = Recorder(worker=1, clock=clock)
    target = resolve(plan.host)
    crowd = Crowd(
        target=target, run_id="test", seed=plan.seed, time_scale=plan.time_scale, run_dir=run_dir, worker=1, links=links
    )
    engine = Engine(
        target=target,
        recorder=recorder,
        request_timeout=plan.request_timeout,
        connections=plan.connections,
        time_scale=plan.time_scale,
        expected=plan.expected,
    )
    frames: list[Frame] = []
    driving = Driving(
        engine=engine,
        recorder=recorder,
        arrivals=plan.arrivals(),
        visitors={name: partial(SCENARIOS[name], crowd) for name in plan.mix},
        clock=clock,
        report=frames.append,
        may_begin=may_begin,
    )
    driving.start()
    while not driving.over and clock() < plan.hard_stop_seconds:
        engine.turn(0.05)
    driving.finish()
    engine.close()
    crowd.close()
    return frames


@pytest.fixture
def measured() -> dict[str, Any]:
    """What a run in which everything went well has measured."""
    plan = small_plan()
    now = iter(tick / 1000 for tick in range(10_000))
    recorder = Recorder(worker=1, clock=lambda: next(now))
    for _ in range(10):
        recorder.arrived(scenario="signup", late_seconds=0.001)
        recorder.asked()
        recorder.sent()
        recorder.frame.received += 1
        recorder.frame.lag.record(0.001)
        recorder.answered(step="signup.post", service=0.020, intended=0.020, outcome=Outcome.SUCCESS)
    frames = [recorder.close_second(at=0, cpu=0.25, rss_bytes=1, connections=10)]
    for _ in range(10):
        recorder.ended(scenario="signup", ending=Ending.FINISHED)
    frames.append(recorder.close_second(at=1, cpu=0.05, rss_bytes=1, connections=0))
    return stats.measured(frames, plan=plan, started_at=1_795_255_200.0, seconds=2.0, ended_by="plan")

"""One run, whole: from a plan to its record. The rest of the laboratory calls `execute` and nothing below it."""

import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from loadtests import causes, ledger, probes, record, report, staleness, stats, surroundings
from loadtests.beside import Beside, Running
from loadtests.calibrating import certificate
from loadtests.frames import Frame
from loadtests.guard import challenge
from loadtests.guard.bystander import Bystander
from loadtests.judgement import judging
from loadtests.moving import Moving
from loadtests.planning import plan_text
from loadtests.plans import Plan
from loadtests.replay import running as replaying
from loadtests.running import framefile, launch, live
from loadtests.running.progress import Shown
from loadtests.running.shares import unaccounted
from loadtests.target import Target

# Between the moment at which everything is ready and the first arrival.
LEAD_SECONDS = 0.2
KEY = "STAMPEDE_LOAD_KEY"


class RunRefused(Exception):
    """The run does not begin; the message says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs beside its plan. `audit`: called after the last answer, gives what the books say.
    `remote`: so many workers of other machines are waited for at `bind`:`port`; they take the place of the plan's own
    processes on this one, unless `local` says how many of those are to drive beside them."""

    root: Path  # the folder in which runs are, and this host's certificate
    run_dir: Path | None = None  # new or empty
    ledger: Path | None = None  # the folder of the ledger; None: that which holds the run's
    links: Sequence[str] = ()
    command: Callable[[Path], str] = lambda run_dir: ""  # that runs the plan of this folder again
    audit: Callable[[Path], dict[str, Any]] | None = None
    besides: Callable[[Plan, Target, Path], Sequence[Beside]] | None = None  # None: `besides` below
    remote: int = 0
    local: int | None = None
    bind: str = "127.0.0.1"
    port: int = 0
    show: Shown = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    report: bool = True


@dataclass(slots=True)
class Execution:
    """A run that is going on, for those who watch it."""

    plan: Plan
    run_id: str
    run_dir: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    began: float | None = None
    begun: bool = False  # the generators were told to begin

    def event(self, text: str, *, kind: str = "run") -> None:
        at = None if self.began is None else round(time.time() - self.began, 3)
        line = {"at": at, "kind": kind, "text": text}
        self.events.append(line)
        with suppress(OSError), (self.run_dir / "events.jsonl").open("a") as file:  # a full disk: the record has it
            file.write(json.dumps(line) + "\n")


def besides(plan: Plan, target: Target, run_dir: Path) -> list[Beside]:
    """What goes on beside the load: each adds its line here. Order: started first to last, stopped last to first."""
    moving = [Moving(rate=plan.moving, seed=plan.seed)] if plan.moving else []
    return [probes.Probes(), *([Bystander(plan.bystander, allow=plan.allow)] if plan.bystander else []), *moving]


def execute(plan: Plan, *, around: Surroundings) -> tuple[dict[str, Any], Path]:
    """Drive the plan and give its record, and the run directory which holds it, with a report. Raises the laboratory's
    named errors before anything was sent; after that a run ends with a record, whatever happens to it."""
    plan = replace(plan, environment=plan.environment or settings.LOAD_TARGET or challenge.DEMO)
    if around.remote and replaying.NAME in plan.mix:
        raise RunRefused("a log is replayed by generators of this machine, where its visits are: leave out --workers")
    target, key = admitted(plan), _key(around.remote)
    run_id = record.new_run_id()
    now = datetime.now(UTC)
    made = around.run_dir is None or not around.run_dir.exists()
    run_dir = record.prepare(chosen=around.run_dir, root=around.root, scenario=plan.scenario, run_id=run_id, now=now)
    execution = Execution(plan, run_id, run_dir)
    try:
        conducted = _conducted(execution, target, key, around)
    except BaseException:
        if not execution.begun:
            record.discard(run_dir, made=made)  # nothing was sent: there is nothing to keep, nor a secret to leave
        raise
    plan = execution.plan
    frames = complete(plan, framefile.read(run_dir), why=conducted.ended_by)
    kept = _concluded(execution, conducted, frames, around)
    _enter(kept, run_dir, around)
    if around.report:
        report.write(run_dir=run_dir, record=kept)
    return kept, run_dir


def _conducted(execution: Execution, target: Target, key: bytes, around: Surroundings) -> launch.Conducted:
    """Everything that may refuse the run comes before its plan is written down: a refused one may hold a secret."""
    asked, run_dir = execution.plan, execution.run_dir
    plan = execution.plan = replaying.prepared(asked, run_dir)
    beside = list((around.besides or besides)(plan, target, run_dir))
    (run_dir / "plan.toml").write_text(plan_text.as_toml(asked))
    telling = live.Telling(run_dir=run_dir, run_id=execution.run_id, title=title(plan))
    try:
        return _conduct(execution, target, key, beside, around, telling)
    finally:
        telling.end()


def _enter(kept: dict[str, Any], run_dir: Path, around: Surroundings) -> None:
    """Into the ledger that was named, or that of the folder which holds the run's. The run is over and its record is
    written: what fails here is said, and takes nothing away."""
    try:
        ledger.append(around.ledger or run_dir.parent, ledger.line_of(kept, run_dir=run_dir, now=datetime.now(UTC)))
    except OSError as error:
        around.say(f"not in the ledger: {error}")


def admitted(plan: Plan) -> Target:
    """The target, once it has said that it is one. Raises `TargetRefused`."""
    return challenge.admitted(plan.host, allow=plan.allow, environment=plan.environment, secret=str(settings.LOAD_KEY))


def complete(plan: Plan, frames: list[Frame], *, why: str) -> list[Frame]:
    """The frames of a run that is over, with what nobody accounted for."""
    return [*frames, *unaccounted(plan.arrivals(), frames, why=f"nobody was there to let them in ({why})")]


def title(plan: Plan) -> str:
    """One line that says which run this is."""
    who = f"{plan.name}: {plan.users} visitors, {plan.rate:.3g}/s ({plan.shape.kind})"
    return f"{who}, time x {plan.time_scale:g}, seed {plan.seed}, {plan.host}"


def _conduct(
    execution: Execution,
    target: Target,
    key: bytes,
    beside: Sequence[Beside],
    around: Surroundings,
    telling: live.Telling,
) -> launch.Conducted:
    plan, run_dir = execution.plan, execution.run_dir
    order = launch.Order(
        plan=plan,
        run_dir=run_dir,
        run_id=execution.run_id,
        key=key,
        mark=record.mark(run_dir),
        address=target.address,
        links=around.links,
        local=_local(plan, around),
        remote=around.remote,
        bind=around.bind,
        port=around.port,
    )
    with ExitStack() as running:

        def ready(conductor: launch.Conductor) -> float:
            execution.began = time.time() + LEAD_SECONDS
            run = Running(
                run_id=execution.run_id,
                run_dir=run_dir,
                plan=plan,
                target=target,
                began=execution.began,
                stop=conductor.stop,
                leave=conductor.leave,
                event=execution.event,
            )
            for one in beside:
                one.start(run)
                running.callback(_stop, one, execution)
            # Whoever took long to start moves the beginning, so that nobody arrives late because of it.
            execution.began = run.began = max(execution.began, time.time() + LEAD_SECONDS / 2)
            execution.begun = True
            return execution.began

        def listening(port: int) -> None:
            if around.remote:
                join = f"manage.py loadtest worker --master {around.bind}:{port}"
                around.say(f"waiting for {around.remote} workers: {join}")

        def show(progress: dict[str, Any]) -> None:
            telling.tell(progress)
            around.show(progress)

        return launch.drive(order=order, show=show, ready=ready, event=execution.event, listening=listening)


def _stop(one: Beside, execution: Execution) -> None:
    """The run is over: what fails here is told, and takes nothing away."""
    try:
        one.stop()
    except Exception as error:  # noqa: BLE001 (the record is worth more than an orderly end)
        execution.event(f"{type(one).__name__} did not stop in order: {error!r}")


def _local(plan: Plan, around: Surroundings) -> int:
    if around.local is not None:
        return around.local
    return 0 if around.remote else plan.workers


def _key(remote: int) -> bytes:
    """What workers prove to have: of the environment when they come from elsewhere, else made for this run."""
    given = os.environ.get(KEY, "")
    if remote and not given:
        raise RunRefused(f"workers of other machines must prove themselves: set {KEY} to the same secret everywhere")
    return given.encode() if remote else secrets.token_bytes(32)


def _concluded(
    execution: Execution, conducted: launch.Conducted, frames: list[Frame], around: Surroundings
) -> dict[str, Any]:
    plan, run_dir = execution.plan, execution.run_dir
    measured = None
    if conducted.began is not None:
        measured = stats.measured(
            frames,
            plan=plan,
            started_at=conducted.began,
            seconds=conducted.seconds,
            ended_by=conducted.ended_by,
        )
        measured["generator"]["hosts"] = sorted({worker["host"] for worker in conducted.workers})
    probed = probes.read(run_dir)
    vouched = certificate.read(around.root)
    books = around.audit(run_dir) if around.audit else {"audited": False, "why": "nobody asked"}
    counted = probes.counted.read(run_dir)
    stale, replayed = staleness.measured(run_dir), replaying.achieved(run_dir, measured)
    judged = judging.judged(
        plan=plan,
        frames=frames,
        results=measured,
        books=books,
        probes=probed,
        counted=counted,
        certificate=vouched,
        staleness=stale,
        replay=replayed,
    )
    return record.write(
        run_dir=run_dir,
        content={
            "run_id": execution.run_id,
            "name": plan.name,
            "plan": plan.as_json(),
            "command": around.command(run_dir.resolve()),
            "started_at": conducted.began,
            "environment": surroundings.environment(),
            "intention": plan.intention,
            "results": measured,
            "probes": probed,
            "events": execution.events,
            "counted": counted,
            "replay": replayed,
            "gave_way": causes.gave_way(results=measured, probes=probed),
            "certificate": vouched,
            "staleness": stale,
            "books": books,
            **judged,
            "workers": conducted.workers,
        },
    )

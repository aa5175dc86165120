"""The process that drives: `python -m loadtests.running.worker HOST PORT`, its key a JSON line on standard input.

Distribution is Locust's (WorkerRunner: the connection, heartbeats, being told to quit); the sessions are ours. All its
visitors leave and it ends when its input closes (whoever started it is gone) or when the conductor has been silent for
long; it begins nobody while it holds no lease (leases.py): somebody else may have its share. If somebody has, the
conductor says so, and everybody leaves.
"""

# Importing locust patches the standard library, so it comes before everything else.
import locust  # noqa: F401  isort: skip

import gc
import json
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.fileobject import FileObject
from locust.env import Environment

from loadtests.browsing.wires import sources
from loadtests.crowd import Crowd
from loadtests.frames import Frame, Recorder
from loadtests.guard import challenge
from loadtests.mailbox import Invitation
from loadtests.plans import Arrival, Plan
from loadtests.running.driving import Driving
from loadtests.running.leases import ASK_SECONDS, Lease
from loadtests.running.sealed import BadSeal, Conversation
from loadtests.running.shares import Share, share_from
from loadtests.scenarios import SCENARIOS
from loadtests.sessions import Engine
from loadtests.target import Target, TargetRefused, resolve

GONE_SECONDS = 15.0  # after such a silence everybody leaves
MARK = "run.mark"
TURN_SECONDS = 0.02  # at most so long between two looks at the messages

Clock = Callable[[], float]


class Worker:
    def __init__(self, *, host: str, port: int, key: bytes, token: str = "") -> None:
        self._key, self._token = key, token
        self._lease = Lease()
        self._talk: Conversation | None = None
        self._order: AsyncResult = AsyncResult()
        self._begin: AsyncResult = AsyncResult()
        self._bye = Event()
        self._evidence: list[tuple[str, dict[str, Any]]] = []
        self._driving: Driving | None = None
        self._ended_by: tuple[str, bool] | None = None
        self._heard_at = time.monotonic()
        environment = Environment(user_classes=[])
        self._runner = environment.create_worker_runner(host, port)
        for kind in ("who", "order", "begin", "lease", "lost", "stop", "bye"):
            self._runner.register_message(f"lab.{kind}", partial(self._heard, kind))
        gevent.spawn(self._when_dismissed)
        self._runner.send_message("lab.knock", None)

    def run(self) -> None:
        order = self._order.get()
        if order is None:
            return
        plan, share = Plan.from_json(order["plan"]), share_from(order["share"])
        try:
            target = self._target(plan, str(order["address"]), away=not _keeps_files(order))
        except TargetRefused as refused:
            self._say("refused", {"why": str(refused)})
            self._bye.wait(GONE_SECONDS)
            return
        planned = plan.arrivals()
        gc.collect()
        gc.freeze()  # what was imported and planned is not looked through again and again during the run
        self._ask_for_lease()  # heard before "ready" is, so it is answered before the beginning is told
        gevent.spawn(self._keep_lease)
        self._say("ready", {})
        begin = self._begin.get()
        if begin is None:
            return
        began = time.monotonic() + begin["in"]
        arrivals = share.of(planned, after=begin["after"])
        clock = _seconds_since(began)
        recorder = Recorder(worker=share.number, clock=clock)
        crowd = self._crowd(order, plan, share, target, recorder, clock)
        self._drive(plan, arrivals, crowd, recorder, clock)
        self._bye.wait(GONE_SECONDS)

    def stop(self, why: str, *, at_once: bool) -> None:
        """No more arrivals; at once: those present leave as well. Before the begin: nothing begins."""
        self._ended_by = (why, at_once)
        if self._driving is not None:
            (self._driving.leave_now if at_once else self._driving.stop_arrivals)(why)
        if at_once:
            self._wait_no_more()

    def _give_away(self) -> None:
        """The conductor took this worker for lost: its slot is somebody else's."""
        self._ended_by = ("the slot was given away", True)
        if self._driving is not None:
            self._driving.give_away()
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        for waiting in (self._order, self._begin):
            if not waiting.ready():
                waiting.set(None)

    def _keep_lease(self) -> None:
        while not self._bye.is_set():
            gevent.sleep(ASK_SECONDS)
            self._ask_for_lease()

    def _ask_for_lease(self) -> None:
        self._say("lease", {"asked": time.monotonic()})

    def _when_dismissed(self) -> None:
        """Locust's runner ends when it is told to quit: no share was left, or the run is over."""
        self._runner.greenlet.join()
        self.stop("dismissed", at_once=True)
        self._bye.set()

    def _target(self, plan: Plan, address: str, *, away: bool) -> Target:
        """On the conductor's machine this address has just said that it may be driven. Elsewhere the same address may
        be another machine, so it is asked again. Raises `TargetRefused`."""
        if not away:
            return resolve(plan.host, allow=plan.allow, address=address)
        secret, environment = self._key.decode("utf-8", "replace"), plan.environment
        return challenge.admitted(plan.host, allow=plan.allow, environment=environment, secret=secret, address=address)

    def _crowd(
        self, order: dict[str, Any], plan: Plan, share: Share, target: Target, recorder: Recorder, clock: Clock
    ) -> Crowd:
        def note(text: str) -> None:
            recorder.frame.notes[text] += 1

        files = _keeps_files(order)
        return Crowd(
            target=target,
            run_id=order["run_id"],
            seed=plan.seed,
            time_scale=plan.time_scale,
            run_dir=Path(order["run_dir"]) if files else None,
            worker=share.number,
            moving=plan.moving > 0,
            links={int(index): Invitation(link) for index, link in order["links"].items()},
            keep=None if files else lambda name, line: self._evidence.append((name, line)),
            note=note,
            clock=clock,
        )

    def _drive(self, plan: Plan, arrivals: list[Arrival], crowd: Crowd, recorder: Recorder, clock: Clock) -> None:
        engine = Engine(
            target=crowd.target,
            recorder=recorder,
            request_timeout=plan.request_timeout,
            connections=plan.connections,
            time_scale=plan.time_scale,
            expected=plan.expected,
            sources=plan.sources or sources(crowd.target, visitors=plan.users),
        )
        self._driving = driving = Driving(
            engine=engine,
            recorder=recorder,
            arrivals=arrivals,
            visitors={name: partial(SCENARIOS[name], crowd) for name in plan.mix},
            clock=clock,
            report=self._report,
            may_begin=lambda: self._lease.holds(now=time.monotonic()),
        )
        driving.start()
        if self._ended_by:
            self.stop(self._ended_by[0], at_once=self._ended_by[1])
        self._turn(engine, driving, clock, hard_stop=plan.hard_stop_seconds)
        crowd.close()
        driving.finish()
        self._say("done", {})

    def _report(self, frame: Frame) -> None:
        evidence, self._evidence = self._evidence, []
        self._say("frame", {"frame": frame.as_json(), "evidence": evidence})

    def _turn(self, engine: Engine, driving: Driving, clock: Clock, *, hard_stop: float) -> None:
        looked = 0.0
        while not driving.over:
            engine.turn(TURN_SECONDS)
            now = clock()
            if now - looked >= TURN_SECONDS / 2:
                looked = now
                gevent.sleep(0)
                if now > hard_stop and self._ended_by != ("hard stop", True):
                    self.stop("hard stop", at_once=True)
                if time.monotonic() - self._heard_at > GONE_SECONDS:
                    self.stop("the conductor is gone", at_once=True)

    def _say(self, kind: str, content: Any) -> None:
        if self._talk is not None:
            self._runner.send_message(f"lab.{kind}", self._talk.say(kind, content))

    def _heard(self, kind: str, *, environment: Any, msg: Any) -> None:
        if kind == "who":
            if self._talk is None:
                nonce = bytes(msg.data["nonce"])
                self._talk = Conversation(key=self._key, nonce=nonce, client=self._runner.client_id, is_worker=True)
                self._say("hello", {"host": platform.node(), "token": self._token})
            return
        if self._talk is None:
            return
        try:
            content = self._talk.hear(kind, msg.data)
        except BadSeal as error:
            sys.stderr.write(f"{error}\n")
            return
        self._heard_at = time.monotonic()
        match kind:
            case "order":
                self._order.set(content)
            case "begin":
                self._begin.set({name: float(content[name]) for name in ("in", "after")})
            case "lease":
                self._lease.granted(asked=float(content["asked"]))
            case "lost":
                self._give_away()
            case "stop":
                self.stop(str(content["why"]), at_once=bool(content["at_once"]))
            case "bye":
                self._bye.set()


def _keeps_files(order: dict[str, Any]) -> bool:
    """Whether the run directory is here: the file in it says what only this run knows. There the visitors' evidence is
    written line by line, so that no death of this process forgets a promise; from elsewhere it travels with the
    frames."""
    try:
        return bool((Path(order["run_dir"]) / MARK).read_text() == order["mark"])
    except OSError:
        return False


def _seconds_since(began: float) -> Clock:
    return lambda: time.monotonic() - began


def leave_when_alone(worker: Worker, lines: Any) -> None:
    """Ends the run of this process when its standard input ends: whoever started it is gone."""
    for _ in lines:
        pass
    worker.stop("whoever started this worker is gone", at_once=True)


def raise_descriptor_limit() -> None:
    """Each visitor holds connections; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    lines = FileObject(sys.stdin.fileno(), "rb", close=False)
    given = json.loads(lines.readline())
    raise_descriptor_limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the conductor's to pass on
    worker = Worker(host=host, port=port, key=bytes.fromhex(given["key"]), token=str(given.get("token", "")))
    gevent.signal_handler(signal.SIGTERM, lambda: worker.stop("termination", at_once=True))
    gevent.spawn(leave_when_alone, worker, lines)
    worker.run()


if __name__ == "__main__":
    main()

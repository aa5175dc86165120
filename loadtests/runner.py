"""The process that drives. `manage.py loadtest run` starts `python -m loadtests.runner`, so that gevent's patches never
touch Django. It reads its order (plan, links, folders) as JSON from standard input, says its progress as one JSON
line a second on standard output, and leaves `measured.json` in the run directory.

SIGINT: no more arrivals, those present finish. A second SIGINT, or a SIGTERM: everybody leaves at once. The record is
written in every case.
"""

# Importing locust patches the standard library, so it comes before everything else.
import locust  # noqa: F401  isort: skip

import gc
import json
import random
import re
import resource
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust.env import Environment
from locust.exception import CatchResponseError

from loadtests.crowd import Crowd, Ending
from loadtests.first_stats import Outcome, Recorder
from loadtests.mailbox import Invitation
from loadtests.plans import Plan
from loadtests.scenarios.purchase import Purchase
from loadtests.scenarios.signup import Signup
from loadtests.scenarios.visitor import Untrue, Visitor
from loadtests.target import resolve

_SECRET = re.compile(r"/(i|line|position|payment)/[^/\s\"']+")
SCENARIOS: dict[str, type[Visitor]] = {"signup": Signup, "purchase": Purchase}


class Drive:
    """One execution of a plan."""

    def __init__(self, plan: Plan, crowd: Crowd) -> None:
        self.plan = plan
        self.crowd = crowd
        self.recorder = Recorder()
        self.visitors = Group()
        self.stopping = Event()
        self.ended_by = "plan"
        self.environment = Environment(user_classes=[SCENARIOS[plan.scenario]], host=crowd.target.url)
        self.environment.crowd = crowd
        self.environment.events.request.add_listener(self._answered)

    def run(self) -> dict[str, Any]:
        started_at = time.time()
        watch = gevent.spawn(self._watch)
        deadline = gevent.spawn_later(self.plan.hard_stop_seconds, self.leave_now, "hard stop")
        arrived = self._let_in()
        self.visitors.join()
        deadline.kill()
        watch.kill()
        self._tick()
        return {
            "started_at": started_at,
            "seconds": self.recorder.elapsed(),
            "ended_by": self.ended_by,
            "visitors": {
                "planned": self.plan.users,
                "arrived": arrived,
                **{ending.value: self.crowd.endings[ending] for ending in Ending},
            },
            **self.recorder.as_json(),
        }

    def stop_arrivals(self, *_: object) -> None:
        if self.stopping.is_set():
            self.leave_now("second interrupt")
            return
        self.ended_by = "interrupt"
        self.stopping.set()

    def leave_now(self, why: str = "termination", *_: object) -> None:
        self.ended_by = why
        self.stopping.set()
        self.visitors.kill(block=False)

    def _let_in(self) -> int:
        scenario = SCENARIOS[self.plan.scenario]
        moments = self.plan.moments()
        for arrived, moment in enumerate(moments):
            if self.stopping.wait(timeout=max(0.0, moment - self.recorder.elapsed())):
                return arrived
            self.visitors.spawn(self._visit, scenario, moment)
            gevent.sleep(0)
        return len(moments)

    def _visit(self, scenario: type[Visitor], moment: float) -> None:
        # Counted here and not where it was spawned: a busy loop lets visitors wait for their first step, which is late.
        self.recorder.arrival(late_seconds=max(0.0, self.recorder.elapsed() - moment))
        visitor = scenario(self.environment)
        try:
            visitor.visit()
        finally:
            visitor.leave()

    def _answered(self, *, name: str, response_time: float, exception: BaseException | None, **_: Any) -> None:
        reason = exception and reason_of(exception)
        error = "" if reason is None else sentence(reason)
        self.recorder.answer(step=name, seconds=response_time / 1e3, outcome=outcome_of(reason), error=error)

    def _watch(self) -> None:
        self._cpu = _Cpu()
        second = 0
        while True:
            second += 1
            gevent.sleep(max(0.0, second - self.recorder.elapsed()))
            self._tick()

    def _tick(self) -> None:
        crowd = self.crowd
        second = self.recorder.tick(in_flight=crowd.in_flight, present=crowd.present, cpu=self._cpu.share())
        total = sum(sum(step.outcomes.values()) for step in self.recorder.steps.values())
        failed = total - sum(step.outcomes[Outcome.SUCCESS] for step in self.recorder.steps.values())
        say(
            {
                "elapsed": self.recorder.elapsed(),
                "arrived": self.recorder.late_starts.count,
                "planned": self.plan.users,
                "present": crowd.present,
                "in_flight": crowd.in_flight,
                "finished": crowd.endings[Ending.FINISHED],
                "requests": total,
                "failed": failed,
                "rate": second.requests,
                "p50": second.p50,
                "p99": second.p99,
                "cpu": second.cpu,
                "draining": self.stopping.is_set(),
            }
        )


class _Cpu:
    """This process's CPU time since it was last asked, as a share of one core."""

    def __init__(self) -> None:
        self._at, self._used = time.monotonic(), self._now()

    def share(self) -> float:
        at, used = time.monotonic(), self._now()
        share = (used - self._used) / max(1e-3, at - self._at)
        self._at, self._used = at, used
        return share

    @staticmethod
    def _now() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


def outcome_of(exception: BaseException | None) -> Outcome:
    if exception is None:
        return Outcome.SUCCESS
    if isinstance(exception, Untrue):
        return Outcome.UNTRUE
    return Outcome.TIMEOUT if isinstance(exception, TimeoutError | gevent.Timeout) else Outcome.FAILURE


def reason_of(exception: BaseException) -> BaseException:
    """The library wraps a time-out into "retries exceeded", of which there are none here."""
    original = getattr(exception, "original", None)
    return original if isinstance(original, BaseException) else exception


def sentence(exception: BaseException) -> str:
    """What is kept of an error: without the kind where it says nothing, without tokens and tickets of addresses."""
    kind = "" if isinstance(exception, CatchResponseError | Untrue) else f"{type(exception).__name__}: "
    return _SECRET.sub(r"/\1/…", f"{kind}{exception}")


def say(progress: dict[str, Any]) -> None:
    """Progress is a courtesy: when nobody listens any more, the run goes on to its record."""
    try:
        print(json.dumps(progress), flush=True)  # noqa: T201
    except OSError:
        sys.stdout = None


def main() -> None:
    order = json.load(sys.stdin)
    plan = Plan.from_json(order["plan"])
    run_dir = Path(order["run_dir"])
    crowd = Crowd(
        target=resolve(plan.host),
        run_id=order["run_id"],
        seed=plan.seed,
        time_scale=plan.time_scale,
        run_dir=run_dir,
        request_timeout=plan.request_timeout,
        links=deque(Invitation(link) for link in order["links"]),
    )
    raise_descriptor_limit()
    random.seed(plan.seed)
    drive = Drive(plan, crowd)
    gevent.signal_handler(signal.SIGINT, drive.stop_arrivals)
    gevent.signal_handler(signal.SIGTERM, drive.leave_now)
    gc.freeze()  # what was imported is not looked through again and again during the run
    measured = drive.run()
    crowd.close()
    draft = run_dir / "measured.draft"
    draft.write_text(json.dumps(measured))
    draft.rename(run_dir / "measured.json")


def raise_descriptor_limit() -> None:
    """Each visitor holds a connection; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()

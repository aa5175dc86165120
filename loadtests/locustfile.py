"""For plain Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`, with its web page or headless.

STAMPEDE_TIME_SCALE shrinks every wait. Purchase needs STAMPEDE_LINKS (a file, one link a line) or STAMPEDE_MAILBOX (a
Maildir), replay STAMPEDE_REPLAY: an access log, or a folder with visits of one (a replay's run directory, or what
`loadtest log … --keep` leaves); without them they are left out. Name users on the command line to choose: `... Signup
Purchase`. Each user is one person after the other, over one connection. There is no audit and no verdict here: that is
`manage.py loadtest run`.
"""

import logging
import os
import secrets
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, events, task
from locust.runners import MasterRunner

from loadtests import mailbox
from loadtests.browsing.connections import TargetOnly
from loadtests.crowd import Crowd
from loadtests.guard import challenge
from loadtests.replay.again import Endless, NothingThere
from loadtests.replay.gathering import Visit
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.replay import Replay
from loadtests.scenarios.visitor import Visitor
from loadtests.steps import Answer, GaveUp, Step, Think, Together, Untrue
from loadtests.target import Target, TargetRefused

REQUEST_TIMEOUT_SECONDS = 30.0
REFUSED = 3  # the exit code, as that of `loadtest run`


class Person(FastHttpUser):  # type: ignore[misc]  # Locust's types are not followed
    """Drives the journey of one visitor after the other with Locust's client, which keeps its statistics."""

    abstract = True
    scenario: ClassVar[type[Visitor]]
    max_redirects = 0  # a redirect is an answer to be checked, and followed only where the journey goes

    def __init__(self, environment: Any) -> None:
        self.crowd: Crowd = environment.crowd
        self.numbers: count[int] = environment.numbers
        self.host = self.crowd.target.url
        self.client_pool = TargetOnly(
            self.crowd.target, connection_timeout=REQUEST_TIMEOUT_SECONDS, network_timeout=REQUEST_TIMEOUT_SECONDS
        )
        super().__init__(environment)

    @task  # type: ignore[untyped-decorator]
    def visit(self) -> None:
        """One whole journey of a new person, who knows nothing of the one before."""
        try:
            self._drive(self.scenario(self.crowd, next(self.numbers)).journey())
        except GaveUp:
            return
        finally:
            self.client_pool.close()

    def _drive(self, journey: Generator[Any, Any, Any]) -> None:
        given: Any = None
        while True:
            try:
                wanted = journey.throw(given) if isinstance(given, GaveUp) else journey.send(given)
            except StopIteration:
                return
            given = self._do(wanted)

    def _do(self, wanted: Step | Think | Together) -> Any:
        if isinstance(wanted, Think):
            return gevent.sleep(wanted.seconds * self.crowd.time_scale)
        if isinstance(wanted, Together):
            return tuple(self._ask(step) for step in wanted.steps)
        answer = self._ask(wanted)
        return GaveUp(wanted.name) if answer is None and wanted.needed else answer

    def _ask(self, step: Step) -> Answer | None:
        self.client.cookiejar.clear()  # cookies are the visitor's own browser's
        with self.client.request(
            step.method,
            step.path,
            name=step.name,
            data=step.body or None,
            headers=dict(step.headers),
            catch_response=True,
            allow_redirects=False,
        ) as got:
            if got.status_code == 0:
                got.failure(got.error)
                return None
            if got.status_code not in step.expect:
                got.failure(f"status {got.status_code}, expected {step.expect[0]}")
                return None
            answer = _answer(step, got)
            try:
                if step.check is not None:
                    step.check(answer)
            except Untrue as error:
                got.failure(error)
                return None
            return answer


def _answer(step: Step, got: Any) -> Answer:
    headers = {name.lower(): value for name, value in got.headers.items()}
    cookies = tuple(value for name, value in got.headers.items() if name.lower() == "set-cookie")
    return Answer(
        got.status_code, headers, got.content or b"", got.request_meta["response_time"] / 1e3, step.path, cookies
    )


def _invitations() -> list[mailbox.Invitation]:
    if file := os.environ.get("STAMPEDE_LINKS"):
        return mailbox.from_file(Path(file))
    if folder := os.environ.get("STAMPEDE_MAILBOX"):
        return mailbox.Mailbox(Path(folder)).invitations()
    return []


class _InTurn(dict[int, mailbox.Invitation]):
    """A link for whoever asks, in the order of the mails: nobody knows here which numbers will be buyers."""

    def __init__(self, links: list[mailbox.Invitation]) -> None:
        super().__init__()
        self._left = iter(links)

    def get(self, index: int, default: Any = None) -> Any:
        if index not in self:
            following = next(self._left, None)
            if following is None:
                return default
            self[index] = following
        return self[index]


def _endless() -> Endless | None:
    """Locust shows whoever imports this what ends it."""
    source = os.environ.get("STAMPEDE_REPLAY")
    if not source:
        return None
    if float(os.environ.get("STAMPEDE_TIME_SCALE", "1")) < 1:
        raise SystemExit("STAMPEDE_TIME_SCALE below 1 and STAMPEDE_REPLAY: nobody of a log is hurried")
    try:
        return Endless(Path(source))
    except NothingThere as error:
        raise SystemExit(f"STAMPEDE_REPLAY: {error}") from error


class Again(Replay):
    """Who comes when is not planned here, nor is who makes which visit."""

    __slots__ = ()

    def visit_of_the_log(self) -> Visit:
        if _VISITS is None:
            raise GaveUp("no visits: set STAMPEDE_REPLAY")
        return _VISITS.visit(self.index)


_LINKS, _VISITS = _invitations(), _endless()
_LEFT_OUT = {*(() if _VISITS else ("replay",)), *(() if _LINKS else ("purchase",))}
# Locust finds user classes among the names of this module.
for _name, _scenario in {**SCENARIOS, "replay": Again}.items():
    globals()[SCENARIOS[_name].__name__] = type(
        SCENARIOS[_name].__name__,
        (Person,),
        {"scenario": _scenario, "__module__": __name__, "weight": int(_name not in _LEFT_OUT)},
    )


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _gather(environment: Any, **_: Any) -> None:
    """A new crowd for each test; the host is that of the command line or of the web form, under the same guard. No
    test begins with the crowd, and so the target, of the one before."""
    vars(environment).pop("crowd", None)
    if isinstance(environment.runner, MasterRunner):
        return  # its workers drive, and ask for themselves
    target = _admitted(environment)
    environment.process_exit_code = None  # of a test that was refused before
    environment.numbers = count()
    environment.crowd = Crowd(
        target=target,
        run_id=secrets.token_hex(3),
        seed=1,
        time_scale=float(os.environ.get("STAMPEDE_TIME_SCALE", "1")),
        run_dir=None,
        links=_InTurn(_LINKS),
    )


def _admitted(environment: Any) -> Target:
    """The target of this test. A refusal is said, and ends the test, in the web page, or the program: Locust passes
    over what a listener raises, except this, in which the greenlet ends that was to begin with the users."""
    try:
        return challenge.admitted(
            environment.host or "",
            allow=(),
            environment=os.environ.get("STAMPEDE_LOAD_TARGET") or challenge.DEMO,
            secret=challenge.secret_here(os.environ),
        )
    except TargetRefused as error:
        logging.getLogger(__name__).error("refused: %s", error)
        environment.process_exit_code = REFUSED
        runner = environment.runner
        gevent.spawn(runner.stop if environment.web_ui else runner.quit)
        raise gevent.GreenletExit from error

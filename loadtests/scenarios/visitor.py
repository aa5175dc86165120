"""What every visitor is made of: an identity, one kept connection, waits, steps with a fixed name, and a check of each
answer. A scenario is a subclass whose `journey` reads as what the person does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from locust import FastHttpUser, task

from loadtests import identities
from loadtests.connections import TargetOnly
from loadtests.crowd import Crowd, Ending

JSON = {"Accept": "application/json"}
PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"}


class Untrue(Exception):
    """The answer came, and what it says is wrong."""


class GaveUp(Exception):
    """Without this step the visitor cannot go on."""


class Visitor(FastHttpUser):  # type: ignore[misc]  # Locust's types are not followed
    """One person. Our runner makes one object for each; plain Locust lets one object be one person after the other."""

    abstract = True
    max_redirects = 0  # a redirect is an answer to be checked, and followed only where the journey goes

    def __init__(self, environment: Any) -> None:
        self.crowd: Crowd = environment.crowd
        self.client_pool = TargetOnly(
            self.crowd.target,
            connection_timeout=self.crowd.request_timeout,
            network_timeout=self.crowd.request_timeout,
        )
        self.host = self.crowd.target.url
        super().__init__(environment)

    @task  # type: ignore[untyped-decorator]
    def visit(self) -> None:
        """One whole journey of a new person."""
        self.index = self.crowd.next_index()
        self.chance = identities.thinking(seed=self.crowd.seed, index=self.index)
        self.client.cookiejar.clear()
        self.arrive()
        self.crowd.present += 1
        ending = Ending.CUT_OFF
        try:
            self.journey()
            ending = Ending.FINISHED
        except GaveUp:
            ending = Ending.GAVE_UP
        finally:
            self.crowd.present -= 1
            self.crowd.endings[ending] += 1

    def arrive(self) -> None:
        """Forget what the person before knew."""

    def journey(self) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        """Close the connection, as a closed browser does."""
        self.client_pool.close()

    def think(self, at_least: float, at_most: float) -> None:
        self.wait_for(self.chance.uniform(at_least, at_most))

    def wait_for(self, seconds: float) -> None:
        gevent.sleep(seconds * self.crowd.time_scale)

    @contextmanager
    def step(self, name: str, method: str, path: str, *, status: int, **request: Any) -> Iterator[Any]:
        """One request. The body checks the answer: `Untrue` raised in it marks the answer as such, and is raised on."""
        self.crowd.in_flight += 1
        try:
            answered = self.client.request(
                method, path, name=name, catch_response=True, allow_redirects=False, **request
            )
        finally:
            self.crowd.in_flight -= 1
        with answered as answer:
            if answer.status_code == 0:
                answer.failure(answer.error)
                raise GaveUp(name)
            if answer.status_code != status:
                answer.failure(f"status {answer.status_code}, expected {status}")
                raise GaveUp(name)
            try:
                yield answer
            except Untrue as error:
                answer.failure(error)
                raise GaveUp(name) from error

    def poll(self, ask: Callable[[], bool], *, every: float, times: int) -> None:
        """Ask again and again, until `ask` says that there is nothing more to wait for. One bad answer does not end it:
        the page keeps polling. Whether it was bad is in the record."""
        for _ in range(times):
            self.wait_for(every)
            try:
                if ask():
                    return
            except GaveUp:
                continue


def claim(holds: bool, otherwise: str) -> None:
    """State what must be true of an answer."""
    if not holds:
        raise Untrue(otherwise)


def json_object(answer: Any) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "")
    claim(kind.startswith("application/json"), f"content type {kind!r} instead of application/json")
    try:
        content = answer.json()
    except (ValueError, TypeError) as error:
        raise Untrue("the body is not JSON") from error
    claim(isinstance(content, dict), "the JSON is not an object")
    return dict(content)


def page(answer: Any) -> str:
    kind = answer.headers.get("content-type", "")
    claim(kind.startswith("text/html"), f"content type {kind!r} instead of text/html")
    return answer.text or ""

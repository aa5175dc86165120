"""Drives journeys one step after the other over plain http.client: what a scenario does, without any generator."""

import gzip
import http.client
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests.crowd import Crowd
from loadtests.scenarios.visitor import Visitor
from loadtests.steps import Answer, GaveUp, Step, Think, Together, Untrue
from loadtests.target import resolve


def crowd_at(url: str, *, run_dir: Path | None = None, **changes: Any) -> Crowd:
    given: dict[str, Any] = {"run_id": "test", "seed": 7, "time_scale": 1.0, "run_dir": run_dir, "worker": 1}
    return Crowd(target=resolve(url), **{**given, **changes})


@dataclass
class Visit:
    """What came of a journey: each request's name in its order, what was wrong, and how it ended."""

    names: list[str] = field(default_factory=list)
    sent: list[Step] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    thought: float = 0.0
    gave_up: str | None = None
    meddle: Callable[[Step], Step] = lambda step: step
    retell: Callable[[Step, Answer], Answer] = lambda step, answer: answer


Meddle = Callable[[Step], Step]
Retell = Callable[[Step, Answer], Answer]


def visit(
    visitor: Visitor, *, meddle: Meddle = lambda step: step, retell: Retell = lambda step, answer: answer
) -> Visit:
    """The whole journey; thinking costs no time here. To plant a lie: `meddle` changes what is really asked for (as if
    the target took this visitor for another), `retell` changes what comes back."""
    seen = Visit(meddle=meddle, retell=retell)
    target = visitor.crowd.target
    with closing(http.client.HTTPConnection(target.address, target.port, timeout=30)) as connection:
        try:
            _drive(visitor.journey(), connection, seen)
        except GaveUp as error:
            seen.gave_up = str(error)
    return seen


def _drive(journey: Generator[Any, Any, Any], connection: http.client.HTTPConnection, seen: Visit) -> None:
    given: Any = None
    failed: GaveUp | None = None
    while True:
        try:
            wanted = journey.throw(failed) if failed else journey.send(given)
        except StopIteration:
            return
        given = failed = None
        if isinstance(wanted, Think):
            seen.thought += wanted.seconds
        elif isinstance(wanted, Together):
            given = tuple(_one(step, connection, seen) for step in wanted.steps)
        else:
            given = _one(wanted, connection, seen)
            failed = GaveUp(wanted.name) if given is None and wanted.needed else None


def _one(step: Step, connection: http.client.HTTPConnection, seen: Visit) -> Answer | None:
    assert urlsplit(step.path).netloc == "", "a step names a path"
    seen.names.append(step.name)
    seen.sent.append(step)
    asked = seen.meddle(step)
    try:
        connection.request(asked.method, asked.path, body=asked.body or None, headers=dict(asked.headers))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        seen.wrong.append(f"{step.name} failure: {type(error).__name__}")
        return None
    headers = {name.lower(): value for name, value in response.getheaders()}
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    cookies = tuple(response.headers.get_all("Set-Cookie") or ())
    answer = seen.retell(step, Answer(response.status, headers, body, 0.0, step.path, cookies))
    if answer.status not in step.expect:
        seen.wrong.append(f"{step.name} failure: status {answer.status}, expected {step.expect[0]}")
        return None
    try:
        if step.check is not None:
            step.check(answer)
    except Untrue as error:
        seen.wrong.append(f"{step.name} untrue: {error}")
        return None
    return answer

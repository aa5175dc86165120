"""What a visitor can do, as values: ask for something, ask for several things together, think.

A journey is a generator that yields these and is given the answers. It knows no socket, no clock and no statistics: our
sessions drive it (`loadtests/sessions.py`), and so does a user of plain Locust (`loadtests/locustfile.py`). Asleep, it
costs its frame and an entry in a heap, no stack.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Outcome(Enum):
    """How one request ended."""

    SUCCESS = "success"
    FAILURE = "failure"  # a wrong status, a broken connection, rubbish
    TIMEOUT = "timeout"
    UNTRUE = "untrue"  # answered in time and in form, and it was not true


class Ending(Enum):
    """How a visit ended."""

    FINISHED = "finished"
    GAVE_UP = "gave_up"  # a step they cannot do without was not answered rightly
    CUT_OFF = "cut_off"  # the run ended first
    LOST = "lost"  # the generator that drove them died


class Untrue(Exception):
    """The answer came, and what it says is wrong."""


class GaveUp(Exception):
    """Without this step the visitor cannot go on. Its text is the step's name, or why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Names of headers are in lower case; `seconds` is its service time: from the asking, connecting
    included where no kept connection was at hand, to the last byte in. `body`: with its content coding undone."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    path: str
    cookies: tuple[str, ...] = ()  # each Set-Cookie as it came

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Raises `ValueError`."""
        return json.loads(self.body)


Check = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `name` is fixed, as in `signup.post`: figures are kept by it. `expect`: the statuses that are right;
    any other is a failure. `check` raises `Untrue` when the answer says what cannot be; it runs after the clock has
    stopped. A step that is not `needed` gives None instead of raising `GaveUp` into the journey."""

    name: str
    method: str
    path: str
    expect: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    check: Check | None = None
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Think:
    """Wait, in seconds at time scale 1."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Requests that a browser makes at the same time, over as many connections as a visitor may have. Given back in
    their order; None for each that failed. Whatever fails here is recorded, and ends nobody's visit."""

    steps: tuple[Step, ...]


Journey = Generator[Step | Think | Together, Any, None]


def claim(holds: bool, otherwise: str) -> None:
    """State what must be true of an answer. Raises `Untrue`."""
    if not holds:
        raise Untrue(otherwise)

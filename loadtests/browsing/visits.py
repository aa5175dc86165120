"""What a session keeps of a visitor on the way, and the sentences in which a failure is kept."""

import re
from collections.abc import Callable, Sequence

from loadtests.browsing.wire import Connection
from loadtests.steps import Answer, Ending, Journey, Step, Untrue

_SECRET = re.compile(r"/(i|line|position|payment)/[^/\s\"']+")


class Session:
    """One visitor on the way. `due`: when their next step would begin, had nobody been kept waiting."""

    __slots__ = ("connections", "done", "due", "group", "journey", "scenario")

    def __init__(self, journey: Journey, scenario: str, done: Callable[[Ending], None], due: float) -> None:
        self.journey: Journey | None = journey
        self.scenario = scenario
        self.done = done
        self.due = due
        self.group: Group | None = None
        self.connections: list[Connection] = []


class Group:
    """What a visitor asks for together: the answers so far, and the number of the next to ask."""

    __slots__ = ("answers", "began", "ended", "left", "next", "steps")

    def __init__(self, steps: Sequence[Step], began: float) -> None:
        self.steps = steps
        self.answers: list[Answer | None] = [None] * len(steps)
        self.next = 0
        self.left = len(steps)
        self.began = self.ended = began


class Exchange:
    """One request on its way. `place` in its group; -1: alone. `begun`: its first byte went out; `touched`: a byte of
    its answer came."""

    __slots__ = ("again", "asked", "begun", "intended", "place", "session", "step", "touched")

    def __init__(self, session: Session, step: Step, place: int, asked: float, intended: float) -> None:
        self.session = session
        self.step = step
        self.place = place
        self.asked = asked
        self.intended = intended
        self.again = self.begun = self.touched = False


def unexpected(status: int, step: Step) -> str:
    return f"status {status}, expected {' or '.join(map(str, step.expect))}"


def sentence(error: Exception) -> str:
    """What a check says; of an error that is none of its sentences, the kind as well."""
    text = str(error) if isinstance(error, Untrue) else f"{type(error).__name__}: {error}"
    return without_tokens(text)[:300]


def without_tokens(text: str) -> str:
    """Addresses of private pages are secrets; the record is shown around."""
    return _SECRET.sub(r"/\1/…", text)

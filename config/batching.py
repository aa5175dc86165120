"""Many Celery messages in few calls of the broker: Celery's own SQS transport, whose messages can be sent together.

    CELERY_BROKER_TRANSPORT = "config.sqs:Transport"

    with batching.together():
        sent = {task.delay(part).id: part for part in parts}     # nothing is sent yet
    # here all of them are: SendMessageBatch, ten a call

What could not be sent is named by the block's `NotPublished`, by the ids of the tasks: all others were sent. When the
block raises, nothing is sent. Without the block, and in other threads, a message is sent at once as ever; with any
other broker the block changes nothing. A message may arrive twice and in any order, as SQS has it; a plain Celery
worker reads them.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

MOST_ENTRIES = 10
# Of all bodies of a call; 262,144 until August 2025:
# https://aws.amazon.com/about-aws/whats-new/2025/08/amazon-sqs-max-payload-size-1mib/
MOST_BYTES = 1_048_576
TRIES = 3
FIRST_WAIT_SECONDS = 0.2  # doubles


class NotPublished(Exception):
    """Some messages did not get into the queue. `reasons`: why, by the id of each one's task."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        super().__init__(f"{len(reasons)} messages were not published: {'; '.join(sorted(set(reasons.values())))}")


@dataclass(frozen=True, slots=True)
class Refused:
    """One entry of a call that was not taken: which one, why, and whether it is worth another try."""

    position: int
    reason: str
    again: bool


class Sender(Protocol):
    """What a channel must be able to do for its messages to be gathered."""

    def send_batch(self, queue: str, entries: list[dict[str, Any]]) -> list[Refused]:
        """Send these with one call, and return those that were not taken; never raise for a server's sake."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One gathered message: who sends it where, whose task it is, and the call's entry with its size in bytes."""

    sender: Sender
    queue: str
    task: str
    entry: dict[str, Any]
    size: int


_gathered: ContextVar[list[Letter] | None] = ContextVar("gathered", default=None)


@contextmanager
def together() -> Iterator[None]:
    """What is published inside is sent at the end, ten messages a call. Raises `NotPublished`. Inside another such
    block: at that one's end."""
    if _gathered.get() is not None:
        yield
        return
    letters: list[Letter] = []
    token = _gathered.set(letters)
    try:
        yield
    finally:
        _gathered.reset(token)
    send(letters)


def gathering() -> list[Letter] | None:
    """Where a transport puts what is published now; None when it is to be sent at once."""
    return _gathered.get()


def send(letters: list[Letter]) -> None:
    """Send all; what a server refuses in passing is sent again, alone. Raises `NotPublished` for the rest."""
    reasons: dict[str, str] = {}
    wait = FIRST_WAIT_SECONDS
    for attempt in range(TRIES):
        if attempt:
            time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 (spreads load, guards nothing)
            wait *= 2
        letters = [letter for batch in batches(letters) for letter in _send_batch(batch, reasons)]
        if not letters:
            break
    reasons.update({letter.task: "refused time and again" for letter in letters})
    if reasons:
        raise NotPublished(reasons)


def batches(letters: list[Letter]) -> Iterator[list[Letter]]:
    """Parts for one call each: one queue, at most `MOST_ENTRIES`, at most `MOST_BYTES`. One that is too large by itself
    is a part of its own, which the server refuses."""
    part: list[Letter] = []
    for letter in sorted(letters, key=lambda one: one.queue):
        full = len(part) == MOST_ENTRIES or sum(one.size for one in part) + letter.size > MOST_BYTES
        if part and (full or part[0].queue != letter.queue):
            yield part
            part = []
        part.append(letter)
    if part:
        yield part


def size(entry: Mapping[str, Any]) -> int:
    """What an entry counts for, in bytes: its body, and its attributes a little more than exactly."""
    return len(entry["MessageBody"].encode()) + len(str(entry.get("MessageAttributes", "")).encode())


def _send_batch(batch: list[Letter], reasons: dict[str, str]) -> list[Letter]:
    """One call. Returns those that are worth another try; why the others are not goes into `reasons`."""
    refused = batch[0].sender.send_batch(batch[0].queue, [letter.entry for letter in batch])
    reasons.update({batch[one.position].task: one.reason for one in refused if not one.again})
    return [batch[one.position] for one in refused if one.again]

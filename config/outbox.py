"""The outbox: mails are rows first, written beside the change they tell about, and sent after the commit.

pending -> claimed -> sent, or back to pending after a failure, or parked after too many. A claim is a lease: when its
time is over (the worker died, the queue lost the message) the row is claimed again. `delivery` sends what is claimed.

Each application has a table of its own and says what its mails read like, as an `Outbox` named `OUTBOX` in a module of
`KEPT_BY`. One relay and one budget serve all of them, for there is one mail account.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F, Model, QuerySet

from config import budget, transactions
from config.logging import request_id
from config.models import Mail

logger = logging.getLogger(__name__)

KEPT_BY = ("ico.outbox", "shop.outbox")
State = Mail.State
CLAIM_SECONDS = 60
CLAIM_AT_ONCE = 500
MESSAGES_PER_TASK = 250  # 50 cost 68 calls of SQS per 1,000 signups, 250 cost 22 to 25 (bench/sqs_calls.py)


class Compose(Protocol):
    def __call__(self, row: Any, /, *, message_id: str) -> EmailMultiAlternatives: ...


@dataclass(frozen=True, slots=True)
class Outbox:
    """One table of mails. `rows`: its model, which adds to `Mail` a `kind` and a foreign key; `about`: that key's name;
    `compose`: the mail of a row, in text and HTML; `beside`: what it reads of other tables (`select_related`)."""

    name: str
    rows: type[Mail]
    about: str
    compose: Compose
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one outbox that were claimed together: what a message to the workers says. Only those that still bear
    `claim` are meant."""

    outbox: str
    ids: tuple[int, ...]
    claim: str


Publish = Callable[[Batch], None]


@cache
def kept() -> tuple[Outbox, ...]:
    """The outboxes of all applications."""
    return tuple(import_module(module).OUTBOX for module in KEPT_BY)


def named(name: str) -> Outbox:
    """Raises `LookupError`, as when a later release sent the message."""
    for outbox in kept():
        if outbox.name == name:
            return outbox
    raise LookupError(f"there is no outbox {name!r}")


def put(outbox: Outbox, *, kind: str, about: Iterable[Model], now: datetime) -> None:
    """Write one mail for each of `about` into the caller's transaction. A second one of the same kind about the same is
    a bug and raises `IntegrityError`."""
    common = {"kind": kind, "due_at": now, "created_at": now, "request_id": request_id()[:64]}
    rows = (outbox.rows(key=f"{kind}:{subject.pk}", **{outbox.about: subject}, **common) for subject in about)
    rows_of(outbox).bulk_create(rows)


def relay(*, publish: Publish, now: datetime) -> int:
    """Claim what is due and hand it to workers, many rows a message; no more than the mail account will let them send
    soon, and of each outbox its fair share. Returns how many rows."""
    outboxes = kept()
    for outbox in outboxes:
        _park_worn_out(outbox, now)
    busy = [rows_of(outbox).filter(state=State.CLAIMED, due_at__gt=now).count() for outbox in outboxes]
    room = budget.room(most=CLAIM_AT_ONCE, with_workers=lambda: sum(busy), now=now)
    due = [list(_due(outbox, now).order_by("due_at", "pk").values_list("due_at", "pk")[:room]) for outbox in outboxes]
    # Who has waited longest comes first where the shares are even.
    turn = sorted((rows[0][0], place) for place, rows in enumerate(due) if rows)
    given = shares(room, waiting=[len(due[at]) for _, at in turn], with_workers=[busy[at] for _, at in turn])
    claimed = 0
    for (_, place), count in zip(turn, given, strict=True):
        for batch in _claim(outboxes[place], [key for _, key in due[place][:count]], now):
            publish(batch)
            claimed += len(batch.ids)
    return claimed


def shares(room: int, *, waiting: Sequence[int], with_workers: Sequence[int]) -> list[int]:
    """How many of each outbox go to workers now. The next is always of the one that has the fewest with them, so that
    a backlog of one leaves the others half of the rate, also where there is room for one mail at a time."""
    given = [0] * len(waiting)
    for _ in range(min(room, sum(waiting))):
        open_ = [place for place, count in enumerate(waiting) if given[place] < count]
        given[min(open_, key=lambda place: with_workers[place] + given[place])] += 1
    return given


def give_back(batch: Batch) -> int:
    """Mails whose message could not be published, or whose worker stops, wait again and are due at once; nobody tried
    them, so no attempt is counted. Returns how many."""
    return change(claimed(batch), state=State.PENDING, claim="", due_at=F("created_at"))


def retry_parked(outbox: Outbox, ids: Iterable[int], *, now: datetime) -> int:
    """Give parked mails a new set of attempts (the operator's button). Returns how many."""
    parked = rows_of(outbox).filter(pk__in=list(ids), state=State.PARKED)
    return parked.update(state=State.PENDING, attempts=0, due_at=now, last_error="")


def rows_of(outbox: Outbox) -> QuerySet[Mail]:
    return outbox.rows._default_manager.all()


def claimed(batch: Batch) -> QuerySet[Mail]:
    """Those of the batch that are still this claim's."""
    return rows_of(named(batch.outbox)).filter(pk__in=batch.ids, state=State.CLAIMED, claim=batch.claim)


@transactions.retried
def change(rows: QuerySet[Mail], **values: object) -> int:
    """One UPDATE; relay and workers lock rows by different indexes, so MariaDB may choose one of them as a victim."""
    return rows.update(**values)


def _due(outbox: Outbox, now: datetime) -> QuerySet[Mail]:
    return rows_of(outbox).filter(state__in=(State.PENDING, State.CLAIMED), due_at__lte=now)


def _park_worn_out(outbox: Outbox, now: datetime) -> None:
    worn_out = _due(outbox, now).filter(attempts__gte=settings.MAIL_ATTEMPTS)
    parked = change(worn_out, state=State.PARKED) if worn_out.exists() else 0  # most ticks need no write lock
    if parked:
        logger.error("%d mails were parked after %d attempts each", parked, settings.MAIL_ATTEMPTS)


def _claim(outbox: Outbox, keys: list[int], now: datetime) -> Iterator[Batch]:
    claim = uuid.uuid4().hex
    lease_ends = now + timedelta(seconds=CLAIM_SECONDS)
    change(_due(outbox, now).filter(pk__in=keys), state=State.CLAIMED, claim=claim, due_at=lease_ends)
    ours = claimed(Batch(outbox.name, tuple(keys), claim))
    ids = list(ours.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), MESSAGES_PER_TASK):
        yield Batch(outbox.name, tuple(ids[start : start + MESSAGES_PER_TASK]), claim)

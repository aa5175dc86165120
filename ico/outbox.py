"""The outbox: mails are rows first, written beside the change they tell about, and sent after the commit.

pending -> claimed -> sent, or back to pending after a failure, or parked after too many. A claim is a lease: when its
time is over (the worker died, the queue lost the message) the row is claimed again. Whoever sends first puts a mark of
its own on the claim, so a message that is delivered twice is sent once.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db import connection as to_database
from django.db.models import Case, F, QuerySet, Value, When

from config import budget, transactions
from config.logging import caused_by, request_id
from config.metrics import MAILS
from ico import mail
from ico.models import Entrant, OutboxMessage

logger = logging.getLogger(__name__)

State = OutboxMessage.State
CLAIM_SECONDS = 60
CLAIM_AT_ONCE = 500
MESSAGES_PER_TASK = 250  # 50 cost 68 calls of SQS per 1,000 signups, 250 cost 22 to 25 (bench/sqs_calls.py)
LONGEST_RETRY_SECONDS = 3_600
NOTE_AGAIN_AFTER = (0.2, 0.5, 1, 2, 4, 8)  # seconds

Publish = Callable[[list[int], str], None]


def put(*, kind: OutboxMessage.Kind, entrant: Entrant, now: datetime) -> None:
    """Write one mail into the caller's transaction. A second one of the same kind for the same person is a bug and
    raises `IntegrityError`."""
    put_many(kind=kind, entrants=[entrant], now=now)


def put_many(*, kind: OutboxMessage.Kind, entrants: Iterable[Entrant], now: datetime) -> None:
    common = {"kind": kind, "due_at": now, "created_at": now, "request_id": request_id()[:64]}
    OutboxMessage.objects.bulk_create(
        OutboxMessage(key=f"{kind.value}:{entrant.pk}", entrant=entrant, **common) for entrant in entrants
    )


def relay(*, publish: Publish, now: datetime) -> int:
    """Claim what is due and hand it to workers as `publish(ids, claim)`, many rows a message; no more than the mail
    account will let them send soon. Returns how many rows."""
    due = OutboxMessage.objects.filter(state__in=(State.PENDING, State.CLAIMED), due_at__lte=now)
    worn_out = _change(due.filter(attempts__gte=settings.MAIL_ATTEMPTS), state=State.PARKED)
    if worn_out:
        logger.error("%d mails were parked after %d attempts each", worn_out, settings.MAIL_ATTEMPTS)
    with_workers = OutboxMessage.objects.filter(state=State.CLAIMED, due_at__gt=now)
    room = budget.room(most=CLAIM_AT_ONCE, with_workers=with_workers.count, now=now)
    keys = list(due.order_by("due_at", "pk").values_list("pk", flat=True)[:room])
    if not keys:
        return 0
    claim = uuid.uuid4().hex
    lease_ends = now + timedelta(seconds=CLAIM_SECONDS)
    _change(due.filter(pk__in=keys), state=State.CLAIMED, claim=claim, due_at=lease_ends)
    claimed = list(OutboxMessage.objects.filter(pk__in=keys, claim=claim).order_by("pk").values_list("pk", flat=True))
    for part in _parts(claimed, MESSAGES_PER_TASK):
        publish(part, claim)
    return len(claimed)


def give_back(*, ids: Iterable[int], claim: str) -> int:
    """Mails whose message could not be published, or whose worker stops, wait again and are due at once; nobody tried
    them, so no attempt is counted. Only those that still bear `claim`. Returns how many."""
    return _change(_claimed(list(ids), claim), state=State.PENDING, claim="", due_at=F("created_at"))


def deliver(
    *,
    ids: list[int],
    claim: str,
    clock: Callable[[], datetime],
    pause: budget.Pause = time.sleep,
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Send the mails of one message over one connection, as fast as the budget allows. What cannot go now waits again.
    `go_on` is asked before each mail: once it says no, the rest is due at once, for another worker. Returns how many
    went out.

    Safe to run twice, at the same time too: only rows that still bear `claim` are sent.
    """
    rows = _claimed(ids, claim).select_related("entrant__sale", "entrant__invitation").order_by("pk")
    sent, row = 0, None
    with mail.connection() as connection:
        try:
            for row, _ in zip(rows, budget.turns(len(rows), clock=clock, pause=pause), strict=False):
                if not go_on():
                    break
                connection.open()
                with caused_by(row.request_id or request_id()):
                    went = _mark(row, clock()) and _send(connection, row, clock, pause)
                if went and not sent:
                    budget.went_through()
                sent += went
        except mail.Away as error:
            closing = budget.close(why=str(error), now=clock())
            if row is not None and row.claim != claim:
                _spare(row, closing, str(error))
    if not go_on():
        give_back(ids=ids, claim=claim)
    elif sent < len(rows):
        _wait_for_turns(ids, claim, clock())
    return sent


def retry_parked(ids: Iterable[int], *, now: datetime) -> int:
    """Give parked mails a new set of attempts (the operator's button). Returns how many."""
    parked = OutboxMessage.objects.filter(pk__in=list(ids), state=State.PARKED)
    return parked.update(state=State.PENDING, attempts=0, due_at=now, last_error="")


def _claimed(ids: list[int], claim: str) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(pk__in=ids, state=State.CLAIMED, claim=claim)


@transactions.retried
def _change(rows: QuerySet[OutboxMessage], **values: object) -> int:
    """One UPDATE; relay and workers lock rows by different indexes, so MariaDB may choose one of them as a victim."""
    return rows.update(**values)


def _mark(row: OutboxMessage, now: datetime) -> bool:
    """Make this row ours alone and count the attempt. False: somebody else was first."""
    mark = uuid.uuid4().hex
    lease_ends = now + timedelta(seconds=CLAIM_SECONDS)  # from now: those before it may have taken long
    mine = _change(_claimed([row.pk], row.claim), claim=mark, attempts=F("attempts") + 1, due_at=lease_ends)
    if mine:
        row.claim, row.attempts = mark, row.attempts + 1
    return bool(mine)


def _send(connection: mail.Connection, row: OutboxMessage, clock: Callable[[], datetime], pause: budget.Pause) -> bool:
    """Send a row that is marked as ours. Raises `mail.Away`, with the row untouched."""
    mine = _claimed([row.pk], row.claim)
    message_id = mail.message_id(row)
    try:
        taken_as = connection.send(mail.compose(row, message_id=message_id))
    except mail.Away:
        raise
    except mail.NeverAgain as error:
        MAILS.labels(row.kind, "refused").inc()
        logger.error("mail %s cannot be delivered and was parked: %s", row.key, error)
        _change(mine, state=State.PARKED, last_error=str(error)[:200])
        return False
    except Exception as error:
        MAILS.labels(row.kind, "failed").inc()
        # Later, for this row is refused or poison; the others of its message must go out now.
        if not isinstance(error, mail.TryLater):
            logger.exception("mail %s could not be made or sent", row.key)
        _change(mine, state=State.PENDING, due_at=clock() + _own_wait(row), last_error=str(error)[:200])
        return False
    MAILS.labels(row.kind, "sent").inc()
    logger.info("mail %s was sent", row.key, extra={"fields": {"mail": row.key, "taken_as": taken_as}})
    noted = {"state": State.SENT, "sent_at": clock(), "message_id": message_id, "taken_as": taken_as[:200]}
    if _note(mine, {**noted, "last_error": ""}, pause):
        return True
    # The mark's lease ended on the way (`mail.ANSWERS_PER_MAIL` says why it should not), and the row is claimed anew.
    logger.warning("mail %s was sent and is no longer ours to note, so it may be sent again", row.key)
    return False


def _note(mine: QuerySet[OutboxMessage], values: dict[str, object], pause: budget.Pause) -> bool:
    """Note that a mail went out. A database that is away for some seconds must not make us send it twice."""
    for wait in NOTE_AGAIN_AFTER:
        try:
            return bool(mine.update(**values))
        except (OperationalError, InterfaceError) as error:
            logger.warning("that a mail was sent could not be noted yet: %s", error)
            pause(wait)
            to_database.close_if_unusable_or_obsolete()
    return bool(mine.update(**values))


def _spare(row: OutboxMessage, closing: budget.Closing, why: str) -> None:
    """The row with which the server went away waits behind the others. It pays an attempt only if the server had been
    fine until then: a mail that brings a server down must not be tried for ever."""
    attempts = row.attempts if closing.server_was_fine else row.attempts - 1
    due_at = closing.until + _own_wait(row)
    values = {"claim": "", "attempts": attempts, "due_at": due_at, "last_error": why[:200]}
    _change(_claimed([row.pk], row.claim), state=State.PENDING, **values)


def _wait_for_turns(ids: list[int], claim: str, now: datetime) -> None:
    """Rows that nobody tried are pending again and due when their turns will come; no attempt is counted."""
    left = list(_claimed(ids, claim).order_by("pk").values_list("pk", flat=True))
    if left:
        turns = zip(left, budget.places(len(left), now=now), strict=True)
        due_at = Case(*[When(pk=key, then=Value(turn)) for key, turn in turns])
        _change(_claimed(left, claim), state=State.PENDING, claim="", due_at=due_at)


def _own_wait(row: OutboxMessage) -> timedelta:
    seconds = settings.MAIL_RETRY_SECONDS * 2 ** (row.attempts - 1)
    return timedelta(seconds=min(seconds, LONGEST_RETRY_SECONDS))


def _parts(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

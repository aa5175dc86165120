"""The outbox: mails are rows first, written beside the change they tell about, and sent after the commit.

pending -> claimed -> sent, or back to pending after a failure, or parked after too many. A claim is a lease: when its
time is over (the worker died, the queue lost the message) the row is claimed again. Whoever sends first puts a mark of
its own on the claim, so a message that is delivered twice is sent once.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from config.logging import request_id
from ico import mail
from ico.models import Entrant, OutboxMessage

logger = logging.getLogger(__name__)

State = OutboxMessage.State
CLAIM_SECONDS = 60
CLAIM_AT_ONCE = 500
MESSAGES_PER_TASK = 50
LONGEST_RETRY_SECONDS = 3_600

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
    """Claim what is due and hand it to workers as `publish(ids, claim)`, many rows a message. Returns how many rows."""
    due = OutboxMessage.objects.filter(state__in=(State.PENDING, State.CLAIMED), due_at__lte=now)
    worn_out = due.filter(attempts__gte=settings.MAIL_ATTEMPTS).update(state=State.PARKED)
    if worn_out:
        logger.error("%d mails were parked after %d attempts each", worn_out, settings.MAIL_ATTEMPTS)
    keys = list(due.order_by("due_at", "pk").values_list("pk", flat=True)[:CLAIM_AT_ONCE])
    if not keys:
        return 0
    claim = uuid.uuid4().hex
    due.filter(pk__in=keys).update(state=State.CLAIMED, claim=claim, due_at=now + timedelta(seconds=CLAIM_SECONDS))
    claimed = list(OutboxMessage.objects.filter(pk__in=keys, claim=claim).order_by("pk").values_list("pk", flat=True))
    for part in _parts(claimed, MESSAGES_PER_TASK):
        publish(part, claim)
    return len(claimed)


def give_back(*, ids: Iterable[int], claim: str) -> int:
    """Mails whose message could not be published wait again and are due at once; nobody tried them, so no attempt is
    counted. Only those that still bear `claim`. Returns how many."""
    waiting = OutboxMessage.objects.filter(pk__in=list(ids), state=State.CLAIMED, claim=claim)
    return waiting.update(state=State.PENDING, claim="", due_at=F("created_at"))


def deliver(*, ids: list[int], claim: str, clock: Callable[[], datetime]) -> int:
    """Send the mails of one message over one connection. Returns how many went out.

    Safe to run twice, at the same time too: only rows that still bear `claim` are sent.
    """
    sent = 0
    with mail.connection() as connection:
        for key in ids:
            mark = uuid.uuid4().hex
            lease_ends = clock() + timedelta(seconds=CLAIM_SECONDS)  # from now: those before it may have taken long
            mine = OutboxMessage.objects.filter(pk=key, state=State.CLAIMED, claim=claim).update(
                claim=mark, attempts=F("attempts") + 1, due_at=lease_ends
            )
            if mine:
                message = OutboxMessage.objects.select_related("entrant__sale", "entrant__invitation").get(pk=key)
                sent += _send(connection, message, mark, clock)
    return sent


def retry_parked(ids: Iterable[int], *, now: datetime) -> int:
    """Give parked mails a new set of attempts (the operator's button). Returns how many."""
    parked = OutboxMessage.objects.filter(pk__in=list(ids), state=State.PARKED)
    return parked.update(state=State.PENDING, attempts=0, due_at=now, last_error="")


def _send(connection: mail.Connection, message: OutboxMessage, mark: str, clock: Callable[[], datetime]) -> bool:
    mine = OutboxMessage.objects.filter(pk=message.pk, state=State.CLAIMED, claim=mark)
    message_id = mail.message_id(message)
    try:
        connection.send(mail.compose(message, message_id=message_id))
    except mail.NeverAgain as error:
        logger.error("mail %s cannot be delivered and was parked: %s", message.key, error)
        mine.update(state=State.PARKED, last_error=str(error)[:200])
        return False
    except Exception as error:
        # Later, whether the server is away or this row is poison: the others of its message must go out now.
        if not isinstance(error, mail.TryLater):
            logger.exception("mail %s could not be made or sent", message.key)
        wait = min(settings.MAIL_RETRY_SECONDS * 2 ** (message.attempts - 1), LONGEST_RETRY_SECONDS)
        mine.update(state=State.PENDING, due_at=clock() + timedelta(seconds=wait), last_error=str(error)[:200])
        return False
    return bool(mine.update(state=State.SENT, sent_at=clock(), message_id=message_id, last_error=""))


def _parts(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

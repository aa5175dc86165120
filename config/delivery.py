"""Sending the mails that a message to a worker names.

Whoever sends first puts a mark of its own on the claim, so a message that is delivered twice is sent once.
"""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db import connection as to_database
from django.db.models import Case, F, QuerySet, Value, When

from config import budget, mail, outbox
from config.logging import caused_by, request_id
from config.metrics import MAILS
from config.models import Mail

logger = logging.getLogger(__name__)

State = Mail.State
Row = Any  # a row of an outbox, with the columns that its application adds
LONGEST_RETRY_SECONDS = 3_600
NOTE_AGAIN_AFTER = (0.2, 0.5, 1, 2, 4, 8)  # seconds


def deliver(
    batch: outbox.Batch,
    *,
    clock: Callable[[], datetime],
    pause: budget.Pause = time.sleep,
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Send the mails of one message over one connection, as fast as the budget allows. What cannot go now waits again.
    `go_on` is asked before each mail: once it says no, the rest is due at once, for another worker. Returns how many
    went out.

    Safe to run twice, at the same time too: only rows that still bear the batch's claim are sent.
    """
    rows = outbox.claimed(batch).select_related(*outbox.named(batch.outbox).beside or (None,)).order_by("pk")
    sent, row = 0, None
    with mail.connection() as connection:
        try:
            for row, _ in zip(rows, budget.turns(len(rows), clock=clock, pause=pause), strict=False):
                if not go_on():
                    break
                connection.open()
                with caused_by(row.request_id or request_id()):
                    went = _mark(batch, row, clock()) and _send(batch, connection, row, clock, pause)
                if went and not sent:
                    budget.went_through()
                sent += went
        except mail.Away as error:
            closing = budget.close(why=str(error), now=clock())
            if row is not None and row.claim != batch.claim:
                _spare(batch, row, closing, str(error))
    if not go_on():
        outbox.give_back(batch)
    elif sent < len(rows):
        _wait_for_turns(batch, clock())
    return sent


def _mine(batch: outbox.Batch, row: Row) -> QuerySet[Mail]:
    return outbox.claimed(replace(batch, ids=(row.pk,), claim=row.claim))


def _mark(batch: outbox.Batch, row: Row, now: datetime) -> bool:
    """Make this row ours alone and count the attempt. False: somebody else was first."""
    mark = uuid.uuid4().hex
    lease_ends = now + timedelta(seconds=outbox.CLAIM_SECONDS)  # from now: those before it may have taken long
    mine = outbox.change(_mine(batch, row), claim=mark, attempts=F("attempts") + 1, due_at=lease_ends)
    if mine:
        row.claim, row.attempts = mark, row.attempts + 1
    return bool(mine)


def _send(
    batch: outbox.Batch, connection: mail.Connection, row: Row, clock: Callable[[], datetime], pause: budget.Pause
) -> bool:
    """Send a row that is marked as ours. Raises `mail.Away`, with the row untouched."""
    mine = _mine(batch, row)
    message_id = mail.message_id(row.key)
    try:
        taken_as = connection.send(outbox.named(batch.outbox).compose(row, message_id=message_id))
    except mail.Away:
        raise
    except mail.NeverAgain as error:
        MAILS.labels(row.kind, "refused").inc()
        logger.error("mail %s cannot be delivered and was parked: %s", row.key, error)
        outbox.change(mine, state=State.PARKED, last_error=str(error)[:200])
        return False
    except Exception as error:
        MAILS.labels(row.kind, "failed").inc()
        # Later, for this row is refused or poison; the others of its message must go out now.
        if not isinstance(error, mail.TryLater):
            logger.exception("mail %s could not be made or sent", row.key)
        outbox.change(mine, state=State.PENDING, due_at=clock() + _own_wait(row), last_error=str(error)[:200])
        return False
    MAILS.labels(row.kind, "sent").inc()
    logger.info("mail %s was sent", row.key, extra={"fields": {"mail": row.key, "taken_as": taken_as}})
    noted = {"state": State.SENT, "sent_at": clock(), "message_id": message_id, "taken_as": taken_as[:200]}
    if _note(mine, {**noted, "last_error": ""}, pause):
        return True
    # The mark's lease ended on the way (`mail.ANSWERS_PER_MAIL` says why it should not), and the row is claimed anew.
    logger.warning("mail %s was sent and is no longer ours to note, so it may be sent again", row.key)
    return False


def _note(mine: QuerySet[Mail], values: dict[str, object], pause: budget.Pause) -> bool:
    """Note that a mail went out. A database that is away for some seconds must not make us send it twice."""
    for wait in NOTE_AGAIN_AFTER:
        try:
            return bool(mine.update(**values))
        except (OperationalError, InterfaceError) as error:
            logger.warning("that a mail was sent could not be noted yet: %s", error)
            pause(wait)
            to_database.close_if_unusable_or_obsolete()
    return bool(mine.update(**values))


def _spare(batch: outbox.Batch, row: Row, closing: budget.Closing, why: str) -> None:
    """The row with which the server went away waits behind the others. It pays an attempt only if the server had been
    fine until then: a mail that brings a server down must not be tried for ever."""
    attempts = row.attempts if closing.server_was_fine else row.attempts - 1
    due_at = closing.until + _own_wait(row)
    values = {"claim": "", "attempts": attempts, "due_at": due_at, "last_error": why[:200]}
    outbox.change(_mine(batch, row), state=State.PENDING, **values)


def _wait_for_turns(batch: outbox.Batch, now: datetime) -> None:
    """Rows that nobody tried are pending again and due when their turns will come; no attempt is counted."""
    left = list(outbox.claimed(batch).order_by("pk").values_list("pk", flat=True))
    if left:
        turns = zip(left, budget.places(len(left), now=now), strict=True)
        due_at = Case(*[When(pk=key, then=Value(turn)) for key, turn in turns])
        outbox.change(outbox.claimed(replace(batch, ids=tuple(left))), state=State.PENDING, claim="", due_at=due_at)


def _own_wait(row: Row) -> timedelta:
    seconds = settings.MAIL_RETRY_SECONDS * 2 ** (row.attempts - 1)
    return timedelta(seconds=min(seconds, LONGEST_RETRY_SECONDS))

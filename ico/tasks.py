"""Celery tasks: ticks of the clock, which the clock's own process runs (`config/clock.py`), and messages of the outbox,
which workers take up. Each translates and calls; each is safe to run twice and at the same time, because the domain
takes its own locks."""

import logging
import os
import socket
import time

from celery import shared_task
from celery.worker import state
from django.conf import settings
from django.utils import timezone

from config import batching
from ico import addresses, board, invitations, outbox, release, waitlist
from ico.models import Chain, Sale

logger = logging.getLogger(__name__)

HOLDER = f"{socket.gethostname()}:{os.getpid()}"
_relay_again = 0.0  # not before this moment of the clock's own process


def _sales() -> list[int]:
    return list(Sale.objects.values_list("pk", flat=True))


@shared_task(name="ico.number")
def number() -> None:
    """Give numbers to the places that have none."""
    for sale_id in _sales():
        while waitlist.give_numbers(sale_id=sale_id) == waitlist.BATCH:
            pass


@shared_task(name="ico.release")
def release_next() -> None:
    """One decision of the releaser."""
    for sale_id in _sales():
        release.release(sale_id=sale_id, holder=HOLDER, now=timezone.now())


@shared_task(name="ico.relay")
def relay() -> None:
    """Hand the mails that are due to the workers. The first goes at once; what comes within the next seconds is
    gathered, for each message costs three calls of the broker. A backlog is not held up."""
    global _relay_again
    if time.monotonic() < _relay_again:
        return
    if 0 < hand_over() < outbox.CLAIM_AT_ONCE:
        _relay_again = time.monotonic() + settings.MAIL_GATHER_SECONDS


def hand_over() -> int:
    """Publish what is due, together. What could not be published waits again, due at once. Returns how many mails were
    claimed."""
    parts: list[tuple[list[int], str]] = []
    published: dict[str, int] = {}

    def publish(ids: list[int], claim: str) -> None:
        parts.append((ids, claim))
        published[str(deliver.delay(ids, claim).id)] = len(parts) - 1

    try:
        with batching.together():
            return outbox.relay(publish=publish, now=timezone.now())
    except batching.NotPublished as error:
        logger.warning("mails wait, for the broker does not take them: %s", error)
        _give_back([parts[published[task]] for task in error.reasons])
        return sum(len(ids) for ids, _ in parts)
    except Exception:
        _give_back(parts)
        raise


def _give_back(parts: list[tuple[list[int], str]]) -> None:
    for ids, claim in parts:
        outbox.give_back(ids=ids, claim=claim)


@shared_task(name="ico.deliver")
def deliver(ids: list[int], claim: str) -> None:
    """Send the mails of one message, until this worker is told to stop."""
    outbox.deliver(ids=ids, claim=claim, clock=timezone.now, go_on=_go_on)


def _go_on() -> bool:
    """Celery's signal handlers put the exit code in these, which is 0 as a rule. The pool waits for its threads then,
    and supervisor only so long for the pool."""
    return all(told is None or told is False for told in (state.should_stop, state.should_terminate))


@shared_task(name="ico.expire")
def expire() -> None:
    """End the invitations whose time is over."""
    invitations.expire(now=timezone.now())


@shared_task(name="ico.board")
def publish_board() -> None:
    """Renew the boards, so that their age shows that somebody is at work."""
    for sale_id in _sales():
        board.publish(sale_id)


@shared_task(name="ico.derive")
def derive() -> None:
    """Have deposit addresses ready before they are needed, a bounded number a tick."""
    for chain in Chain.values:
        addresses.derive_ahead(chain=chain, most=addresses.AT_ONCE)

"""Celery tasks: ticks of the clock, which the clock's own process runs (`config/clock.py`). Each translates
and calls; each is safe to run twice and at the same time, because the domain takes its own locks."""

import os
import socket

from celery import shared_task
from django.utils import timezone

from config import tasks as mail_tasks
from ico import addresses, board, invitations, outbox, release, waitlist
from ico.models import Chain, Sale

HOLDER = f"{socket.gethostname()}:{os.getpid()}"


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


@shared_task(name="ico.deliver")
def deliver(ids: list[int], claim: str) -> None:
    """What the relay of the release before this one published: all mails were the sale's."""
    mail_tasks.deliver(outbox.OUTBOX.name, ids, claim)


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

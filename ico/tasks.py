"""Celery tasks: ticks of the clock, which the clock's own process runs (`config/clock.py`), and messages of the outbox,
which workers take up. Each translates and calls; each is safe to run twice and at the same time, because the domain
takes its own locks."""

import os
import socket

from celery import shared_task
from django.utils import timezone

from ico import board, invitations, outbox, release, waitlist
from ico.models import Sale

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


@shared_task(name="ico.relay")
def relay() -> None:
    """Hand the mails that are due to the workers."""
    outbox.relay(publish=_publish, now=timezone.now())


def _publish(ids: list[int], claim: str) -> None:
    deliver.delay(ids, claim)


@shared_task(name="ico.deliver")
def deliver(ids: list[int], claim: str) -> None:
    """Send the mails of one message."""
    outbox.deliver(ids=ids, claim=claim, clock=timezone.now)


@shared_task(name="ico.expire")
def expire() -> None:
    """End the invitations whose time is over."""
    invitations.expire(now=timezone.now())


@shared_task(name="ico.board")
def publish_board() -> None:
    """Renew the boards, so that their age shows that somebody is at work."""
    for sale_id in _sales():
        board.publish(sale_id)

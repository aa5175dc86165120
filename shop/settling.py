"""Payments are settled: what is due is claimed, the provider is asked outside of any transaction, and what it says is
booked.

A claim is a lease, as in the outbox: it pushes the order's `payment_due_at` to the end of the lease, and whoever dies
on the way leaves the order due again. Asking twice does no harm, for each charge has a key (`payment`).
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections
from django.db.models import QuerySet

from shop import orders
from shop.models import Order
from shop.payment import NoAnswer, Provider

logger = logging.getLogger(__name__)

AT_ONCE = 8  # calls of the provider at the same time, each a thread and a connection
LEASE = timedelta(seconds=60)  # longer than the provider's patience and what the database may take
ASK_AGAIN = timedelta(seconds=2)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Claim:
    """One order whose payment this process settles until `until`. `undo`: the money goes back."""

    order: int
    key: str
    attempt: int
    amount_cents: int
    card: str
    undo: bool
    until: datetime


class Desk:
    """The threads that talk to the provider. Nobody waits for them: a provider that is slow with one payment holds up
    neither the clock nor the other payments, as long as there is a free thread."""

    def __init__(self, provider: Callable[[], Provider], *, clock: Clock, at_once: int = AT_ONCE) -> None:
        self._provider, self._clock = provider, clock
        self._pool = ThreadPoolExecutor(at_once, "settling")
        self._free = at_once
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Take on as many of the due payments as there are free threads. Returns how many."""
        claims = claim_due(clock=self._clock, most=self._free)
        for claim in claims:
            with self._lock:
                self._free -= 1
            self._pool.submit(self._settle, claim)
        return len(claims)

    def close(self) -> None:
        """What was begun is finished."""
        self._pool.shutdown()

    def _settle(self, claim: Claim) -> None:
        try:
            settle(claim, provider=self._provider(), clock=self._clock)
        except Exception:  # the database is away, say: the lease ends, and the order is due again
            logger.exception("the payment %s could not be settled", claim.key)
        finally:
            connections.close_all()
            with self._lock:
                self._free += 1


def claim_due(*, clock: Clock, most: int) -> list[Claim]:
    """Payments that are due, ours until their leases end; those that have waited longest first."""
    due = Order.objects.filter(payment_due_at__lte=clock()).order_by("payment_due_at", "pk")[:most]
    return [claim for row in due if (claim := _claim(row, clock() + LEASE))]


def settle(claim: Claim, *, provider: Provider, clock: Clock) -> None:
    """Ask the provider, and book what it says. Without an answer the order is due again soon."""
    try:
        if claim.undo:
            provider.undo(key=claim.key)
            _still(claim).update(payment_due_at=None)
        else:
            _charge(claim, provider, clock)
    except NoAnswer as error:
        logger.warning("the payment provider did not answer: %s", error)
        _still(claim).update(payment_due_at=clock() + ASK_AGAIN)


def key_of(*, number: str, attempt: int) -> str:
    """The provider's key of one attempt: the next one, with another card, is another charge."""
    return f"{number}-{attempt}"


def _charge(claim: Claim, provider: Provider, clock: Clock) -> None:
    answer = provider.charge(key=claim.key, amount_cents=claim.amount_cents, card=claim.card)
    if not answer.accepted:
        orders.refused(order=claim.order, attempt=claim.attempt)
    elif not orders.paid(order=claim.order, attempt=claim.attempt, reference=answer.reference, now=clock()):
        logger.info("order of payment %s was ended meanwhile; the money goes back", claim.key)


def _claim(row: Order, until: datetime) -> Claim | None:
    """None: another clock was first, or the order has changed."""
    same = Order.objects.filter(pk=row.pk, payment_due_at=row.payment_due_at, state=row.state)
    if not same.update(payment_due_at=until):
        return None
    attempt = row.payment_attempts
    key = key_of(number=row.number, attempt=attempt)
    return Claim(row.pk, key, attempt, row.total_cents, row.card, row.state != Order.State.RESERVED, until)


def _still(claim: Claim) -> QuerySet[Order]:
    """The order, if it is as it was claimed. Who cancels it in between makes it due anew."""
    return Order.objects.filter(pk=claim.order, payment_due_at=claim.until)

"""Payments are settled: what is due is claimed, the provider is asked outside of any transaction, and what it says is
booked.

A claim is a lease, as in the outbox: it pushes the order's `payment_due_at` to the end of the lease, and whoever dies
on the way leaves the order due again. Asking twice does no harm, for each charge has a key (`payment`).
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import connections
from django.db.models import QuerySet

from shop import orders, payment
from shop.models import Order
from shop.payment import NoAnswer, Provider

logger = logging.getLogger(__name__)

# Calls of the provider at the same time, each a thread and a connection: of orders that it is asked about for the first
# time, and of those that it left without an answer. Each kind has threads of its own, so neither waits for the other.
AT_ONCE, AGAIN_AT_ONCE = 8, 4
LEASE = timedelta(seconds=60)  # longer than the provider's patience and what the database may take
ASK_AGAIN = timedelta(seconds=2)
RIVALS = 8  # so many of the rows that are due may be another clock's in the same moment
# A clock that has not looked in for so long is ending: what was begun is finished, and nothing else is taken on. Less
# than the time that it is given to end in (`config.clock`), with the provider's patience added.
GONE_SECONDS = 5.0

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Claim:
    """One order whose payment this process settles until `until`. `undo`: the money goes back. `again`: the provider
    was asked before."""

    order: int
    key: str
    attempt: int
    amount_cents: int
    card: str
    undo: bool
    again: bool
    until: datetime

    @property
    def patience(self) -> float:
        """Seconds to wait for the answer."""
        return payment.PATIENCE_SECONDS if self.again else payment.FIRST_PATIENCE_SECONDS


class Desk:
    """The threads that talk to the provider. Nobody waits for them: a provider that is slow with one payment holds up
    neither the clock nor the payments of others. An order that is slow goes to the back, where the slow ones are."""

    def __init__(
        self,
        provider: Callable[[], Provider],
        *,
        clock: Clock,
        at_once: int = AT_ONCE,
        again_at_once: int = AGAIN_AT_ONCE,
    ) -> None:
        first = _Lane(provider, clock, at_once, again=False)
        self._lanes = (first, _Lane(provider, clock, again_at_once, again=True))

    def begin(self) -> int:
        """Take on as many of the due payments as there are free threads, which go on by themselves for as long as
        anything is due. Returns how many were begun now."""
        return sum(lane.begin() for lane in self._lanes)

    def close(self) -> None:
        """What was begun is finished."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """Threads for one kind of question. One of them that is through takes the next order at once: were it to wait for
    the clock's next tick, a tick would settle as many orders as there are threads, however quick the provider is."""

    def __init__(self, provider: Callable[[], Provider], clock: Clock, at_once: int, *, again: bool) -> None:
        self._provider, self._clock, self._again = provider, clock, again
        self._pool = ThreadPoolExecutor(at_once, "settling")
        self._free = at_once
        self._lock = threading.Lock()  # one claims at a time: they would all want the same row
        self._told_at = time.monotonic()

    def begin(self) -> int:
        self._told_at = time.monotonic()
        with self._lock:
            claims = self._claim(self._free)
            self._free -= len(claims)
        for claim in claims:
            self._pool.submit(self._work, claim)
        return len(claims)

    def close(self) -> None:
        self._told_at = -math.inf
        self._pool.shutdown()

    def _claim(self, most: int) -> list[Claim]:
        return claim_due(clock=self._clock, most=most, again=self._again) if most else []

    def _work(self, claim: Claim) -> None:
        """This one, and the next one, and so on."""
        following: Claim | None = claim
        try:
            while following is not None:
                self._settle(following)
                following = self._next()
        except Exception:  # the database is away, say: the next tick tries again
            logger.exception("no further payment could be taken on")
        finally:
            connections.close_all()
            with self._lock:
                self._free += 1

    def _next(self) -> Claim | None:
        if time.monotonic() - self._told_at > GONE_SECONDS:
            return None
        with self._lock:
            return next(iter(self._claim(1)), None)

    def _settle(self, claim: Claim) -> None:
        try:
            settle(claim, provider=self._provider(), clock=self._clock)
        except Exception:  # the lease ends, and the order is due again
            logger.exception("the payment %s could not be settled", claim.key)
            connections.close_all()


def claim_due(*, clock: Clock, most: int, again: bool | None = None) -> list[Claim]:
    """Payments that are due, ours until their leases end; those that have waited longest first. `again`: only those
    that the provider was asked about before, or only the others."""
    due = Order.objects.filter(payment_due_at__lte=clock())
    if again is not None:
        due = due.filter(payment_asked_at__isnull=not again)
    rows = due.order_by("payment_due_at", "pk")[: most + RIVALS]
    return list(islice((claim for row in rows if (claim := _claim(row, clock()))), most))


def settle(claim: Claim, *, provider: Provider, clock: Clock) -> None:
    """Ask the provider, and book what it says. Without an answer the order is due again soon, behind the others."""
    try:
        if claim.undo:
            provider.undo(key=claim.key, patience=claim.patience)
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
    answer = provider.charge(key=claim.key, amount_cents=claim.amount_cents, card=claim.card, patience=claim.patience)
    if not answer.accepted:
        orders.refused(order=claim.order, attempt=claim.attempt)
    elif not orders.paid(order=claim.order, attempt=claim.attempt, reference=answer.reference, now=clock()):
        logger.info("order of payment %s was ended meanwhile; the money goes back", claim.key)


def _claim(row: Order, now: datetime) -> Claim | None:
    """None: another clock was first, or the order has changed."""
    same = Order.objects.filter(pk=row.pk, payment_due_at=row.payment_due_at, state=row.state)
    until = now + LEASE
    if not same.update(payment_due_at=until, payment_asked_at=row.payment_asked_at or now):
        return None
    return Claim(
        order=row.pk,
        key=key_of(number=row.number, attempt=row.payment_attempts),
        attempt=row.payment_attempts,
        amount_cents=row.total_cents,
        card=row.card,
        undo=row.state != Order.State.RESERVED,
        again=row.payment_asked_at is not None,
        until=until,
    )


def _still(claim: Claim) -> QuerySet[Order]:
    """The order, if it is as it was claimed. Who cancels it in between makes it due anew."""
    return Order.objects.filter(pk=claim.order, payment_due_at=claim.until)

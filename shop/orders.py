"""Orders: placed once a key (`placing`), paid once, cancelled or run out; whatever is not sold goes back on the shelf.

    reserved -> paid, or refused -> reserved again with another card; from each of them cancelled or, unpaid, expired

A transaction locks the cart or the order first and the variants after it, in primary-key order (docs/decisions/0026).
The provider is never asked here: that a payment is due is a column, and `settling` does it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Q, QuerySet

from config import transactions
from shop import outbox, payment, stock
from shop.models import Order, OrderMail
from shop.placing import (
    HOLDING,
    CartChanged,
    NothingToOrder,
    NoWayToWrite,
    OrderedAlready,
    SoldOut,
    TooManyOpen,
    TooOften,
    UnknownCard,
    key_for,
    place,
)

__all__ = [
    "HOLDING",
    "CartChanged",
    "NoWayToWrite",
    "NothingToOrder",
    "OrderedAlready",
    "SoldOut",
    "TooManyOpen",
    "TooOften",
    "UnknownCard",
    "key_for",
    "place",
]

logger = logging.getLogger(__name__)

State = Order.State
CANCEL_DAYS = 14
MOST_ATTEMPTS = 5
# A payment that is under way when the reservation ends is waited for this long, from when the provider was first asked
# at the earliest: if nobody has asked yet, that is no fault of the customer's.
GRACE = timedelta(minutes=5)
EXPIRED_AT_ONCE = 100
PAGE_SIZE = 20


class NotYours(LookupError):
    """The customer has no such order; whether another one has is not told."""


class TooLate(Exception):
    """The order is not in a state in which this can be done; the message says why."""


# --- afterwards -------------------------------------------------------------------------------------------------------
@transactions.retried
def pay_again(*, customer: User, number: str, card: str, now: datetime) -> None:
    """Try another card while the pieces are still held. Does nothing to an order whose payment is under way or made.
    Raises `NotYours`, `UnknownCard`, `TooLate`."""
    if card not in payment.CARDS:
        raise UnknownCard(card)
    order = _locked(customer=customer, number=number)
    if order.state in (State.RESERVED, State.PAID):
        return
    if order.state != State.REFUSED or order.reserved_until <= now:
        raise TooLate("The time to pay for this order is over. Please put what you want into your cart again.")
    if order.payment_attempts >= MOST_ATTEMPTS:
        raise TooLate(f"{MOST_ATTEMPTS} payments were refused. Please cancel this order.")
    attempts = order.payment_attempts + 1
    _only(order).update(
        state=State.RESERVED, card=card, payment_attempts=attempts, payment_due_at=now, payment_asked_at=None
    )


@transactions.retried
def cancel(*, customer: User, number: str, now: datetime) -> None:
    """Give the pieces back, and the money if any was taken. Cancelling twice is the same as once. Raises `NotYours`,
    `TooLate`."""
    order = _locked(customer=customer, number=number)
    if order.state == State.CANCELLED:
        return
    if order.state == State.EXPIRED:
        raise TooLate("This order has run out already: nothing is held, and nothing was taken.")
    if order.placed_at < now - timedelta(days=CANCEL_DAYS):
        raise TooLate(f"An order can be cancelled for {CANCEL_DAYS} days.")
    _end(order, State.CANCELLED, now)


def expire(*, now: datetime) -> int:
    """End the reservations whose time is over. Returns how many. One that cannot be ended, because the books are wrong,
    holds up none of the others."""
    ended, failed = 0, set[int]()
    while keys := list(_run_out(now).exclude(pk__in=failed).values_list("pk", flat=True)[:EXPIRED_AT_ONCE]):
        for key in keys:
            try:
                ended += _expire(key, now)
            except (stock.NotHeld, IntegrityError):
                logger.exception("order %s cannot be ended: its books are wrong", key)
                failed.add(key)
    return ended


@transactions.retried
def _expire(key: int, now: datetime) -> bool:
    order = _run_out(now).select_for_update().filter(pk=key).first()
    if order is not None:
        _end(order, State.EXPIRED, now)
    return order is not None


def _run_out(now: datetime) -> QuerySet[Order]:
    refused = Q(state=State.REFUSED, reserved_until__lte=now)
    long_ago = now - GRACE
    unanswered = Q(state=State.RESERVED, reserved_until__lte=long_ago, payment_asked_at__lte=long_ago)
    return Order.objects.filter(refused | unanswered).order_by("reserved_until")


def _end(order: Order, state: Order.State, now: datetime) -> None:
    """The order's row is ours. Of a refused payment nothing is left to undo."""
    give_back = stock.release if order.state in HOLDING else stock.put_back
    undo_at = None if order.state == State.REFUSED else now
    _only(order).update(state=state, settled_at=now, payment_due_at=undo_at, payment_asked_at=None)
    give_back(pieces_of(order))
    outbox.put(kind=OrderMail.Kind.CANCELLED, order=order, now=now)


# --- what the provider said -------------------------------------------------------------------------------------------
@transactions.retried
def paid(*, order: int, attempt: int, reference: str, now: datetime) -> bool:
    """Book what the provider took. False if the order was ended meanwhile: then it is due to be undone anyway."""
    held = _under_way(order, attempt)
    if held is None:
        return False
    _only(held).update(state=State.PAID, settled_at=now, payment_due_at=None, payment_reference=reference)
    stock.sell(pieces_of(held))
    outbox.put(kind=OrderMail.Kind.PAID, order=held, now=now)
    return True


@transactions.retried
def refused(*, order: int, attempt: int) -> bool:
    """The pieces stay held until their time is over, so that another card can be tried."""
    held = _under_way(order, attempt)
    if held is None:
        return False
    _only(held).update(state=State.REFUSED, payment_due_at=None)
    return True


def _under_way(order: int, attempt: int) -> Order | None:
    waiting = Order.objects.select_for_update().filter(state=State.RESERVED, payment_attempts=attempt)
    return waiting.filter(pk=order).first()


# --- reading ----------------------------------------------------------------------------------------------------------
def of(*, customer: User, page: int = 1) -> tuple[list[Order], bool]:
    """A page of a customer's orders, the newest first, and whether there are more."""
    first = (page - 1) * PAGE_SIZE
    found = Order.objects.filter(customer=customer).order_by("-placed_at", "-pk").prefetch_related("lines")
    rows = list(found[first : first + PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def one(*, customer: User, number: str) -> Order:
    """Raises `NotYours`."""
    order = Order.objects.filter(customer=customer, number=number).first()
    if order is None:
        raise NotYours(number)
    return order


def may_cancel(order: Order, *, now: datetime) -> bool:
    return order.state in (*HOLDING, State.PAID) and order.placed_at >= now - timedelta(days=CANCEL_DAYS)


def may_pay(order: Order, *, now: datetime) -> bool:
    in_time = order.reserved_until > now and order.payment_attempts < MOST_ATTEMPTS
    return order.state == State.REFUSED and in_time


def pieces_of(order: Order) -> dict[int, int]:
    return dict(order.lines.values_list("variant_id", "quantity"))


def _locked(*, customer: User, number: str) -> Order:
    order = Order.objects.select_for_update().filter(customer=customer, number=number).first()
    if order is None:
        raise NotYours(number)
    return order


def _only(order: Order) -> QuerySet[Order]:
    return Order.objects.filter(pk=order.pk)

"""Orders: placed once a key, paid once, cancelled or run out; whatever is not sold goes back on the shelf.

    reserved -> paid, or refused -> reserved again with another card; from each of them cancelled or, unpaid, expired

A transaction locks the cart or the order first and the variants after it, in primary-key order (docs/decisions/0026).
The provider is never asked here: that a payment is due is a column, and `settling` does it.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import IntegrityError
from django.db.models import Q, QuerySet

from config import transactions
from shop import cart, outbox, payment, stock
from shop.address_book import Destination
from shop.models import Order, OrderLine, OrderMail

logger = logging.getLogger(__name__)

State = Order.State
HOLDING = (State.RESERVED, State.REFUSED)  # their pieces are reserved
CANCEL_DAYS = 14
MOST_ATTEMPTS = 5
# A payment that is under way when the reservation ends is waited for this long, from when the provider was first asked
# at the earliest: if nobody has asked yet, that is no fault of the customer's.
GRACE = timedelta(minutes=5)
EXPIRED_AT_ONCE = 100
PAGE_SIZE = 20

_seal = signing.Signer(salt="shop.checkout")
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")
_NUMBER = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is mistaken for something else


class NotYours(LookupError):
    """The customer has no such order; whether another one has is not told."""


class NothingToOrder(Exception):
    """The cart is empty: it was ordered or emptied elsewhere."""


class CartChanged(Exception):
    """What is in the cart, or what it costs, is not what the checkout showed. Nothing was ordered."""


class SoldOut(Exception):
    """Of something in the cart too few pieces are left. Nothing was ordered."""


class TooManyOpen(Exception):
    """The customer has as many orders that are not paid as anybody may have. Nothing was ordered."""


class TooOften(Exception):
    """The customer has ordered as often in an hour as anybody may. Nothing was ordered."""


class NoWayToWrite(Exception):
    """The customer has no email address, so nothing could be said about the order. Nothing was ordered."""


class OrderedAlready(Exception):
    """This form was sent before with something else in it, and what was ordered then stands. `number`: that order."""

    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number


class UnknownCard(ValueError):
    """The provider knows no such way to pay."""


class TooLate(Exception):
    """The order is not in a state in which this can be done; the message says why."""


# --- placing ----------------------------------------------------------------------------------------------------------
def key_for(*, customer: int, contents: cart.Contents) -> str:
    """What a checkout form carries: one order can be made with it, of exactly these lines at these prices."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_sealed(nonce, customer, contents)}"


def place(*, customer: User, key: str, to: Destination, card: str, now: datetime) -> Order:
    """Order what is in the cart, hold its pieces, and have it paid. The same key again gives the same order. Raises
    `NothingToOrder`, `CartChanged`, `SoldOut`, `UnknownCard`, `TooManyOpen`, `TooOften`, `NoWayToWrite`,
    `OrderedAlready`."""
    if not customer.email:
        raise NoWayToWrite
    if card not in payment.CARDS:
        raise UnknownCard(card)
    nonce, _, seal = key.partition(".")
    if not _NONCE.fullmatch(nonce):
        raise CartChanged
    try:
        return _place(customer, nonce, seal, to, card, now)
    except stock.NotEnough as error:
        logger.info("no order: %s", error)
        raise SoldOut from error


@transactions.retried
def _place(customer: User, nonce: str, seal: str, to: Destination, card: str, now: datetime) -> Order:
    pieces = cart.hold(customer.pk)
    placed = Order.objects.filter(key=nonce, customer=customer).first()  # after the lock: a double click waits there
    if placed is not None:
        return _same(placed, to, card)
    if not pieces:
        raise NothingToOrder
    _refuse_hoarding(customer, now)
    stock.reserve(pieces)
    contents = cart.look(cart.Owner(customer=customer.pk))  # the variants are ours now, so these prices hold
    if not all(line.sold for line in contents.lines):
        raise CartChanged
    if not hmac.compare_digest(seal.encode(), _sealed(nonce, customer.pk, contents).encode()):
        raise CartChanged
    order = _write(customer, nonce, contents, to, card, now)
    cart.empty(customer.pk)
    outbox.put(kind=OrderMail.Kind.PLACED, order=order, now=now)
    return order


def _same(placed: Order, to: Destination, card: str) -> Order:
    """Raises `OrderedAlready` when the form was changed since, for the order was not. Another card can be chosen on the
    order's own page, and is then not the first one any more."""
    if placed.address != asdict(to) or (placed.payment_attempts == 1 and placed.card != card):
        raise OrderedAlready(placed.number)
    return placed


def _refuse_hoarding(customer: User, now: datetime) -> None:
    """The customer's cart is locked, so two orders of theirs are not counted at once. Raises `TooManyOpen` and
    `TooOften`: pieces that one person holds nobody else can buy, and each order is a mail, to an address that nobody
    may have confirmed."""
    theirs = Order.objects.filter(customer=customer)
    if theirs.filter(state__in=HOLDING).count() >= settings.ORDERS_OPEN:
        raise TooManyOpen
    if theirs.filter(placed_at__gt=now - timedelta(hours=1)).count() >= settings.ORDERS_PER_HOUR:
        raise TooOften


def _write(customer: User, nonce: str, contents: cart.Contents, to: Destination, card: str, now: datetime) -> Order:
    order = Order.objects.create(
        number=_number(),
        key=nonce,
        customer=customer,
        total_cents=contents.total_cents,
        email=customer.email,
        address=asdict(to),
        card=card,
        placed_at=now,
        reserved_until=now + timedelta(seconds=settings.RESERVATION_SECONDS),
        payment_attempts=1,
        payment_due_at=now,
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            variant_id=line.variant,
            title=f"{line.title}, {line.kind}" if line.kind else line.title,
            sku=line.sku,
            unit_cents=line.unit_cents,
            quantity=line.quantity,
        )
        for line in contents.lines
    )
    return order


def _sealed(nonce: str, customer: int, contents: cart.Contents) -> str:
    shown = sorted((line.variant, line.quantity, line.unit_cents) for line in contents.lines)
    return _seal.signature(f"{nonce}:{customer}:{sha256(repr(shown).encode()).hexdigest()}")


def _number() -> str:
    """Twelve random letters: 59 bits, so that no two are alike, and nobody reads from one how much is sold."""
    drawn = "".join(secrets.choice(_NUMBER) for _ in range(12))
    return f"{drawn[:4]}-{drawn[4:8]}-{drawn[8:]}"


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

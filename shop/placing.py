"""Placing an order: once a key, of exactly what the checkout showed, and not more than one customer may have.

A transaction locks the cart and the variants after it, in primary-key order (docs/decisions/0026).
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

from config import transactions
from shop import cart, outbox, payment, stock
from shop.address_book import Destination
from shop.models import Order, OrderLine, OrderMail

logger = logging.getLogger(__name__)

HOLDING = (Order.State.RESERVED, Order.State.REFUSED)  # their pieces are reserved

_seal = signing.Signer(salt="shop.checkout")
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")
_NUMBER = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is mistaken for something else


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

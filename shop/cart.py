"""The carts: rows, for a session forgets under concurrency. A customer has one; a guest's is named by a signed cookie.

A cart promises nothing: neither a piece nor a price. Both are settled when an order is placed (`orders`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.core import signing
from django.db.models import F, QuerySet

from config import transactions
from shop.cart_contents import NOBODY, Contents, Line, Owner, look
from shop.models import Cart, CartLine, Variant

__all__ = [
    "COOKIE",
    "FORGOTTEN_AT_ONCE",
    "GUEST_DAYS",
    "MOST_OF_ONE",
    "NOBODY",
    "BadQuantity",
    "CannotHold",
    "Contents",
    "Line",
    "NotSold",
    "Owner",
    "add",
    "change",
    "cookie_of",
    "empty",
    "forget",
    "guest_of",
    "hold",
    "is_new",
    "join",
    "look",
]

COOKIE = "cart"
GUEST_DAYS = 30
MOST_LINES = 50
MOST_OF_ONE = 99
FORGOTTEN_AT_ONCE = 500

_signer = signing.Signer(salt="shop.cart")


class NotSold(LookupError):
    """No such product or variant, or it is no longer sold; the message is for the visitor."""


class BadQuantity(ValueError):
    """No shop would take this for a quantity; the message says what it may be."""


class CannotHold(Exception):
    """The cart cannot hold this; the message says why, and nothing was changed."""


def guest_of(cookie: str | None) -> str | None:
    """The token of the guest's cart that this cookie names; None for none and for a forged one."""
    try:
        return _signer.unsign(cookie) if cookie else None
    except signing.BadSignature:
        return None


def cookie_of(guest: str) -> str:
    return _signer.sign(guest)


def is_new(owner: Owner) -> bool:
    """Whether `add` would make a guest's cart. A cookie may name one that is gone."""
    return owner.customer is None and (owner.guest is None or not _guests(owner.guest).exists())


def _guests(token: str) -> QuerySet[Cart]:
    return Cart.objects.filter(token=token, customer=None)


def add(*, owner: Owner, product: str = "", variant: int | None = None, quantity: int, now: datetime) -> Owner:
    """Put pieces into the cart, and make the cart if there is none. `product` is a slug, or "" if a variant is named;
    without `variant` the first of the product that has pieces left. Returns whose cart it is. Raises `NotSold`,
    `BadQuantity`, `CannotHold`."""
    _refuse_absurd(quantity, least=1)
    return _add(owner, _sold(product, variant), quantity, now)


@transactions.retried
def change(*, owner: Owner, variant: int, quantity: int, now: datetime) -> None:
    """So many pieces of what is in the cart, 0 to take it out. Raises `NotSold` for what is not in it,
    `BadQuantity`, `CannotHold`."""
    _refuse_absurd(quantity, least=0)
    cart = _locked(owner)
    line = None if cart is None else cart.lines.filter(variant_id=variant).select_related("variant").first()
    if cart is None or line is None:
        raise NotSold("This is not in your cart any more.")
    if quantity == 0:
        line.delete()
    else:
        if quantity > line.quantity:  # fewer is always right, whatever is left
            _refuse_more_than_left(line.variant, quantity)
        cart.lines.filter(pk=line.pk).update(quantity=quantity, seen_cents=line.variant.price_cents)
    Cart.objects.filter(pk=cart.pk).update(used_at=now)


@transactions.retried
def join(*, guest: str | None, customer: User, now: datetime) -> None:
    """What a guest had gathered (`guest`: the cookie) goes into the customer's cart, when they log in; pieces of the
    same kind are added up, and what the cart cannot hold is left out. The guest's cart is gone then. A cookie that
    names none changes nothing."""
    token = guest_of(guest)
    key = None if token is None else _guests(token).values_list("pk", flat=True).first()
    if key is None:
        return
    mine, _ = Cart.objects.get_or_create(customer=customer, defaults={"made_at": now, "used_at": now})
    carts = {cart.pk: cart for cart in Cart.objects.select_for_update().filter(pk__in=(key, mine.pk)).order_by("pk")}
    theirs = carts.get(key)
    if theirs is None or theirs.customer_id is not None:
        return  # another tab logged in first
    held = set(mine.lines.values_list("variant_id", flat=True))
    for line in theirs.lines.order_by("pk"):
        if line.variant_id in held or len(held) < MOST_LINES:
            held.add(line.variant_id)
            _put(mine, line.variant_id, line.quantity, line.seen_cents)
    theirs.delete()
    Cart.objects.filter(pk=mine.pk).update(used_at=now)


@transactions.retried
def forget(*, now: datetime) -> int:
    """Delete guests' carts that nobody used for `GUEST_DAYS`, a bounded number. Returns how many. They are locked as
    they are looked at: a guest who came back, or is coming back just now, keeps the cart."""
    old = Cart.objects.filter(customer=None, used_at__lt=now - timedelta(days=GUEST_DAYS)).order_by("used_at")
    mine = old.select_for_update(skip_locked=True).values_list("pk", flat=True)
    keys = list(mine[:FORGOTTEN_AT_ONCE])
    Cart.objects.filter(pk__in=keys).delete()
    return len(keys)


def _refuse_absurd(quantity: int, *, least: int) -> None:
    if not least <= quantity <= MOST_OF_ONE:
        raise BadQuantity(f"Please choose a quantity from {least} to {MOST_OF_ONE}.")


def _refuse_more_than_left(variant: Variant, quantity: int) -> None:
    left = variant.stock - variant.reserved
    if quantity > left:
        raise CannotHold(f"Only {left} of these are left." if left else "This is sold out.")


def _sold(product: str, variant: int | None) -> Variant:
    found = Variant.objects.filter(product__active=True, active=True)
    if product or variant is None:
        found = found.filter(product__slug=product)
    if variant is not None:
        chosen = found.filter(pk=variant).first()
    else:
        chosen = found.filter(stock__gt=F("reserved")).order_by("pk").first() or found.order_by("pk").first()
    if chosen is None:
        raise NotSold("This is not sold here, or no longer.")
    return chosen


@transactions.retried
def _add(owner: Owner, variant: Variant, quantity: int, now: datetime) -> Owner:
    cart = _locked(owner) or _make(owner, now)
    line = cart.lines.filter(variant=variant).first()
    together = quantity + (line.quantity if line else 0)
    if together > MOST_OF_ONE:
        raise CannotHold(f"Your cart already holds {together - quantity} of these; it takes {MOST_OF_ONE} at most.")
    _refuse_more_than_left(variant, together)
    if line is None and cart.lines.count() >= MOST_LINES:
        raise CannotHold(f"A cart holds {MOST_LINES} different things at most.")
    _put(cart, variant.pk, quantity, variant.price_cents)
    Cart.objects.filter(pk=cart.pk).update(used_at=now)
    return Owner(customer=cart.customer_id) if cart.customer_id is not None else Owner(guest=cart.token)


def _put(cart: Cart, variant: int, quantity: int, seen_cents: int) -> None:
    """More of it, within the most of one. The cart's row is locked, so nobody else writes its lines."""
    line = cart.lines.filter(variant_id=variant).first()
    if line is None:
        cart.lines.create(variant_id=variant, quantity=quantity, seen_cents=seen_cents)
    else:
        together = min(MOST_OF_ONE, line.quantity + quantity)
        cart.lines.filter(pk=line.pk).update(quantity=together, seen_cents=seen_cents)


def _locked(owner: Owner) -> Cart | None:
    """The cart's row, ours until the transaction ends: two tabs take turns."""
    carts = Cart.objects.select_for_update()
    if owner.customer is not None:
        return carts.filter(customer=owner.customer).first()
    return None if owner.guest is None else carts.filter(token=owner.guest, customer=None).first()


def _make(owner: Owner, now: datetime) -> Cart:
    if owner.customer is None:
        return Cart.objects.create(made_at=now, used_at=now)
    cart, _ = Cart.objects.get_or_create(customer_id=owner.customer, defaults={"made_at": now, "used_at": now})
    return Cart.objects.select_for_update().get(pk=cart.pk)


def hold(customer: int) -> dict[int, int]:
    """What a customer's cart holds, variant -> pieces. Nobody else changes it until the caller's transaction ends."""
    cart = _locked(Owner(customer=customer))
    return {} if cart is None else dict(cart.lines.values_list("variant_id", "quantity"))


def empty(customer: int) -> None:
    """It was ordered. In the caller's transaction, which holds the cart."""
    CartLine.objects.filter(cart__customer=customer).delete()

"""Every invariant of the shop holds on honest books and is broken by damage planted for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import F
from django.utils import timezone

from config import audit
from shop import cart, invariants, orders
from shop.models import CartLine, Charge, Order, OrderLine, OrderMail, Variant
from tests.shop.buying.conftest import person, thing
from tests.shop.buying.test_orders import fill, place, settle

State = Order.State
Damage = Callable[[], object]


def broken(now: datetime) -> list[str]:
    """Names of the shop's invariants that do not hold."""
    evidence = audit.Evidence(now=now)
    return [one.name for one in invariants.INVARIANTS if one.check(evidence).breaches]


def open_books(now: datetime) -> None:
    """Orders that are paid, waiting, refused, cancelled before and after they were paid, and run out; carts of two
    customers and of a guest; a page that is kept."""
    for slug in ("lamp", "chair", "table"):
        thing(slug, stock=50)
    ann, bob = person("ann"), person("bob")
    early = now - timedelta(days=1)
    run_out = ordered(bob, early, card="test-refused")
    settle(early)
    orders.expire(now=now)
    assert Order.objects.get(pk=run_out.pk).state == State.EXPIRED
    given_back, _ = ordered(ann, now), ordered(bob, now, card="test-refused")
    settle(now)
    orders.cancel(customer=ann, number=given_back.number, now=now)
    ordered(ann, now)
    settle(now)
    orders.cancel(customer=bob, number=ordered(bob, now).number, now=now)
    settle(now)
    ordered(bob, now)
    assert sorted(Order.objects.values_list("state", flat=True)) == sorted([*State.values, State.CANCELLED])
    for owner in (cart.Owner(customer=ann.pk), cart.Owner(customer=bob.pk), cart.NOBODY):
        cart.add(owner=owner, product="lamp", variant=None, quantity=2, now=now)


def ordered(customer: User, now: datetime, *, card: str = "test") -> Order:
    fill(customer, now, lamp=1, chair=2)
    return place(customer, now, card=card)


@pytest.fixture
def books(db: None, now: datetime) -> None:
    open_books(now)


def test_honest_books_hold_and_everything_was_looked_at(books: None, now: datetime) -> None:
    evidence = audit.Evidence(now=now, orders=confirmed())
    for one in invariants.INVARIANTS:
        found = one.check(evidence)
        assert found.breaches == (), one.name
        assert found.checked > 0 or one.name == "shop-pages-public", one.name


def confirmed() -> tuple[dict[str, Any], ...]:
    """What the customers of two of the orders were told."""
    rows = Order.objects.order_by("pk").values("number", "email", "total_cents")[:2]
    return tuple({"kind": "order", **row} for row in rows)


def a_piece_too_few_reserved() -> None:
    """As if an order had been placed past the conditional UPDATE."""
    Variant.objects.filter(reserved__gt=0).update(reserved=F("reserved") - 1)


def a_piece_reserved_for_nobody() -> None:
    Variant.objects.filter(reserved=0).update(reserved=1)


def a_price_changed_afterwards() -> None:
    OrderLine.objects.filter(order__state=State.PAID).update(unit_cents=F("unit_cents") + 1)


def an_order_of_nothing() -> None:
    OrderLine.objects.filter(order__state=State.EXPIRED).delete()


def one_payment_for_two_orders() -> None:
    Order.objects.exclude(payment_reference="").update(payment_reference="charge-1")


def charged_more_than_the_order_says() -> None:
    Charge.objects.filter(state=Charge.State.ACCEPTED).update(amount_cents=F("amount_cents") + 1)


def charged_and_ended() -> None:
    """The money of a cancelled order was not given back."""
    Charge.objects.filter(state=Charge.State.UNDONE).update(state=Charge.State.ACCEPTED)


def a_charge_of_no_order() -> None:
    Charge.objects.create(key="AAAA-AAAA-AAAA-1", amount_cents=1, state=Charge.State.ACCEPTED, at=timezone.now())


def paid_and_never_charged() -> None:
    Charge.objects.filter(state=Charge.State.ACCEPTED).delete()


def a_mail_that_was_never_written() -> None:
    OrderMail.objects.filter(kind=OrderMail.Kind.PAID).delete()


def a_mail_of_what_did_not_happen() -> None:
    OrderMail.objects.filter(kind=OrderMail.Kind.PAID).update(order=Order.objects.get(state=State.REFUSED))


DAMAGE: list[tuple[str, Damage]] = [
    ("shop-stock", a_piece_too_few_reserved),
    ("shop-stock", a_piece_reserved_for_nobody),
    ("shop-order-sums", a_price_changed_afterwards),
    ("shop-order-sums", an_order_of_nothing),
    ("shop-orders-once", one_payment_for_two_orders),
    ("shop-payments", charged_more_than_the_order_says),
    ("shop-payments", charged_and_ended),
    ("shop-payments", a_charge_of_no_order),
    ("shop-payments", paid_and_never_charged),
    ("shop-mails", a_mail_that_was_never_written),
    ("shop-mails", a_mail_of_what_did_not_happen),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGE, ids=[damage.__name__ for _, damage in DAMAGE])
def test_damage_is_found(books: None, now: datetime, name: str, damage: Damage) -> None:
    damage()
    assert broken(now) == [name]


def test_every_invariant_has_a_damage_planted_for_it() -> None:
    elsewhere = {"shop-carts", "shop-confirmed-orders", "shop-pages-public"}  # below, and in test_page_audit.py
    assert {name for name, _ in DAMAGE} | elsewhere == {one.name for one in invariants.INVARIANTS}


def test_an_order_confirmed_otherwise_than_booked_is_found(books: None, now: datetime) -> None:
    def breaches(*entries: dict[str, Any]) -> int:
        found = invariants.confirmed_orders(audit.Evidence(now=now, orders=entries))
        assert found.checked == len(entries)
        return len(found.breaches)

    one, other = confirmed()
    assert breaches(one, other) == 0
    assert breaches({**one, "number": "AAAA-AAAA-AAAA"}) == 1
    assert breaches({**one, "email": "somebody@example.org"}, other) == 1
    assert breaches({**one, "total_cents": one["total_cents"] + 1}) == 1


# --- what the database itself refuses ---------------------------------------------------------------------------------
@contextmanager
def without(model: type[models.Model], name: str) -> Iterator[None]:
    """The database without this constraint of a table: the audit must not lean on what it is there to doubt. What it
    would refuse must be gone before it comes back."""
    all_of_it = model._meta.constraints
    (lost,) = (constraint for constraint in all_of_it if constraint.name == name)
    model._meta.constraints = [constraint for constraint in all_of_it if constraint is not lost]
    try:
        with connection.schema_editor() as editor:
            editor.remove_constraint(model, lost)
        yield
    finally:
        model._meta.constraints = all_of_it
    with connection.schema_editor() as editor:
        editor.add_constraint(model, lost)


@contextmanager
def not_unique(column: Any) -> Iterator[None]:
    """Likewise without the uniqueness of a column."""
    loose = column.clone()
    loose.set_attributes_from_name(column.name)
    loose.model = column.model
    loose._unique = False
    with connection.schema_editor() as editor:
        editor.alter_field(column.model, column, loose)
    yield
    with connection.schema_editor() as editor:
        editor.alter_field(column.model, loose, column)


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_found_where_it_does_not(now: datetime) -> None:
    open_books(now)
    with without(CartLine, "cart_line_once"):
        line = CartLine.objects.all()[0]
        second = CartLine.objects.create(cart=line.cart, variant=line.variant, quantity=1, seen_cents=1)
        assert broken(now) == ["shop-carts"]
        second.delete()
    with without(CartLine, "cart_line_sane"):
        CartLine.objects.update(quantity=0)
        assert broken(now) == ["shop-carts"]
        CartLine.objects.update(quantity=1)
    with not_unique(Order._meta.get_field("key")):
        keys = dict(Order.objects.values_list("pk", "key"))
        Order.objects.update(key="one press")
        assert broken(now) == ["shop-orders-once"]
        for pk, key in keys.items():
            Order.objects.filter(pk=pk).update(key=key)
    with without(Variant, "variant_not_oversold"):
        Variant.objects.filter(reserved__gt=0).update(stock=F("reserved") - 1)
        assert broken(now) == ["shop-stock"]
        Variant.objects.update(stock=F("reserved"))
    assert broken(now) == []

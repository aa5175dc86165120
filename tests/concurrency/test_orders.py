"""The last pieces, and many who press the button at the same moment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections
from django.db.models import F

from config import transactions
from shop import cart, orders, payment, settling, stock
from shop.models import Cart, CartLine, Charge, Order, OrderLine, OrderMail, Variant
from tests.concurrency.rivals import broken, together, two_writers, without
from tests.deadline import until
from tests.shop.buying.conftest import person, thing
from tests.shop.buying.test_orders import HOME, key

pytestmark = pytest.mark.django_db(transaction=True)

PIECES, BUYERS = 50, 200
# All 200 are let go at one moment; so many of them are in the database at once, the others at its door. MariaDB takes
# 200 connections (deploy/local/mariadb.py), of which others need some; SQLite has one writer, and whoever waits polls.
CONNECTIONS = 120 if connection.vendor == "mysql" else 20


@pytest.fixture
def lamp() -> Variant:
    return thing("lamp", stock=PIECES)


def customers(count: int) -> list[User]:
    names = [f"v{n}@example.org" for n in range(count)]
    User.objects.bulk_create([User(username=name, email=name, password="!") for name in names])
    return list(User.objects.order_by("pk"))


def with_carts(people: list[User], variant: Variant) -> None:
    carts = [Cart(customer=one) for one in people]
    Cart.objects.bulk_create(carts)
    made = Cart.objects.filter(customer__in=people)
    CartLine.objects.bulk_create(
        [CartLine(cart=one, variant=variant, quantity=1, seen_cents=variant.price_cents) for one in made]
    )


def counts(variant: Variant) -> tuple[int, int]:
    return Variant.objects.values_list("stock", "reserved").get(pk=variant.pk)


def buys(person: User, form: str, now: datetime) -> bool:
    try:
        orders.place(customer=person, key=form, to=HOME, card="test", now=now)
    except orders.SoldOut:
        return False
    return True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred who want one row wait longer on a slow machine than anybody waits for a lock; then they begin again."""
    monkeypatch.setitem(transactions.ATTEMPTS, transactions.LOCK_WAIT_TIMEOUT, 100)


def crowd(variant: Variant, now: datetime, *, buyers: int = BUYERS) -> list[bool]:
    """People with the checkout before them press the button when all are let go. Who got one."""
    people = customers(buyers)
    with_carts(people, variant)
    room = threading.BoundedSemaphore(CONNECTIONS)
    answers: list[bool] = []

    def at_the_door(step: Callable[[], bool]) -> Callable[[], None]:
        def press() -> None:
            with room:
                try:
                    answers.append(step())
                finally:
                    connections.close_all()

        return press

    assert together(*[at_the_door(buyer(one, now)) for one in people]) == []
    return answers


@pytest.mark.usefixtures("patient")
def test_of_200_buyers_of_50_pieces_50_get_one(lamp: Variant, now: datetime) -> None:
    assert Counter(crowd(lamp, now)) == Counter({False: BUYERS - PIECES, True: PIECES})
    assert counts(lamp) == (PIECES, PIECES)
    assert (Order.objects.count(), OrderLine.objects.count(), OrderMail.objects.count()) == (PIECES,) * 3
    assert CartLine.objects.count() == BUYERS - PIECES  # who went away empty still has the cart
    assert broken(now) == set()


@pytest.mark.usefixtures("patient")
def test_without_condition_and_constraint_more_get_one_than_there_are(
    lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same crowd and the shop's own way, but that pieces are counted and not looked at."""

    def reserve_blindly(pieces: stock.Pieces) -> None:
        for variant, wanted in sorted(pieces.items()):
            Variant.objects.filter(pk=variant).update(reserved=F("reserved") + wanted)

    monkeypatch.setattr(stock, "reserve", reserve_blindly)
    with without(Variant, "variant_not_oversold"):
        sold = Counter(crowd(lamp, now, buyers=PIECES + 30))[True]
        assert sold > PIECES
        assert counts(lamp) == (PIECES, sold)
        assert "shop-stock" in broken(now)


def buyer(person: User, now: datetime) -> Callable[[], bool]:
    """Somebody with the checkout before them, who presses the button when let go."""
    form = key(person)
    return lambda: buys(person, form, now)


# --- the guards, taken away ------------------------------------------------------------------------------------------
def look_then_reserve(variant: Variant, looked: threading.Barrier) -> bool:
    known = Variant.objects.get(pk=variant.pk)
    looked.wait(30)
    if known.stock - known.reserved >= 1:
        Variant.objects.filter(pk=variant.pk).update(reserved=F("reserved") + 1)
    return known.stock > known.reserved


def one_left(variant: Variant) -> None:
    Variant.objects.filter(pk=variant.pk).update(reserved=PIECES - 1)


def test_looking_before_reserving_is_stopped_by_the_constraint(lamp: Variant) -> None:
    one_left(lamp)
    looked = threading.Barrier(2)
    (refused,) = together(*[lambda: look_then_reserve(lamp, looked)] * 2)
    assert isinstance(refused, IntegrityError)
    assert counts(lamp) == (PIECES, PIECES)


def test_without_condition_and_constraint_a_piece_is_sold_twice(lamp: Variant, now: datetime) -> None:
    """Negative control."""
    one_left(lamp)
    looked = threading.Barrier(2)
    with without(Variant, "variant_not_oversold"):
        assert together(*[lambda: look_then_reserve(lamp, looked)] * 2) == []
        assert counts(lamp) == (PIECES, PIECES + 1)
        assert "shop-stock" in broken(now)


# --- one customer, many clicks ----------------------------------------------------------------------------------------
@pytest.fixture
def ann(lamp: Variant) -> User:
    made = person()
    with_carts([made], lamp)
    return made


def test_eight_clicks_on_one_form_place_one_order(ann: User, lamp: Variant, now: datetime) -> None:
    form = key(ann)
    placed: list[int] = []

    def click() -> None:
        placed.append(orders.place(customer=ann, key=form, to=HOME, card="test", now=now).pk)

    assert together(*[click] * 8) == []
    assert placed == [Order.objects.get().pk] * 8
    assert counts(lamp) == (PIECES, 1)
    assert broken(now) == set()


def test_two_tabs_with_a_form_each_place_one_order(ann: User, lamp: Variant, now: datetime) -> None:
    raised = together(*[buyer(ann, now) for _ in range(4)])
    assert [type(error) for error in raised] == [orders.NothingToOrder] * 3
    assert counts(lamp) == (PIECES, 1)


@two_writers
def test_without_holding_the_cart_two_tabs_order_twice(
    ann: User, lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: both have read the cart before one of them has emptied it."""
    read = threading.Barrier(2)

    def look_only(customer: int) -> dict[int, int]:
        pieces = dict(CartLine.objects.filter(cart__customer=customer).values_list("variant_id", "quantity"))
        read.wait(30)
        return pieces

    monkeypatch.setattr(cart, "hold", look_only)
    monkeypatch.setattr(cart, "empty", lambda customer: None)  # the second would find its prices gone
    assert together(buyer(ann, now), buyer(ann, now)) == []
    assert Order.objects.count() == 2


def test_several_tabs_add_to_one_cart(ann: User, lamp: Variant, now: datetime) -> None:
    owner = cart.Owner(customer=ann.pk)
    assert together(*[lambda: cart.add(owner=owner, variant=lamp.pk, quantity=2, now=now)] * 8) == []
    assert cart.look(owner).count == 1 + 2 * 8


def test_the_first_cart_of_a_customer_is_one(lamp: Variant, now: datetime) -> None:
    owner = cart.Owner(customer=person().pk)
    assert together(*[lambda: cart.add(owner=owner, variant=lamp.pk, quantity=1, now=now)] * 8) == []
    assert (Cart.objects.count(), cart.look(owner).count) == (1, 8)


def test_logging_in_in_four_tabs_adds_a_guests_cart_once(ann: User, lamp: Variant, now: datetime) -> None:
    guest = cart.add(owner=cart.NOBODY, variant=lamp.pk, quantity=3, now=now).guest
    assert guest is not None
    cookie = cart.cookie_of(guest)
    assert together(*[lambda: cart.join(guest=cookie, customer=ann, now=now)] * 4) == []
    assert cart.look(cart.Owner(customer=ann.pk)).count == 1 + 3
    assert Cart.objects.count() == 1


# --- ends that meet ---------------------------------------------------------------------------------------------------
def test_carts_that_cross_do_not_wait_in_a_circle(now: datetime) -> None:
    """Each of them orders the same four things, put into the cart in another order."""
    things = [thing(f"thing{n}", stock=100) for n in range(4)]
    people = customers(8)
    for n, one in enumerate(people):
        for at in range(4):
            chosen = things[(n + at) % 4 if n % 2 else (n - at) % 4]
            cart.add(owner=cart.Owner(customer=one.pk), variant=chosen.pk, quantity=1, now=now)
    assert together(*[buyer(one, now) for one in people]) == []
    assert [counts(one) for one in things] == [(100, 8)] * 4
    assert broken(now) == set()


def test_paid_cancelled_and_expired_at_one_moment_end_in_one_way(ann: User, lamp: Variant, now: datetime) -> None:
    order = orders.place(customer=ann, key=key(ann), to=HOME, card="test", now=now)
    over = order.reserved_until + orders.GRACE
    (claim,) = settling.claim_due(clock=lambda: now, most=10)
    raised = together(
        lambda: settling.settle(claim, provider=payment.Dummy(), clock=lambda: over),
        lambda: orders.cancel(customer=ann, number=order.number, now=now),
        lambda: orders.expire(now=over),
    )
    assert [type(error) for error in raised] in ([], [orders.TooLate])
    for rest in settling.claim_due(clock=lambda: over, most=10):
        settling.settle(rest, provider=payment.Dummy(), clock=lambda: over)
    order.refresh_from_db()
    sold = order.state == "paid"
    assert sold or order.state in ("cancelled", "expired")
    assert counts(lamp) == ((PIECES - 1, 0) if sold else (PIECES, 0))
    assert Charge.objects.get().state == ("accepted" if sold else "undone")
    assert broken(now) == set()


def test_many_clocks_settle_each_payment_once(lamp: Variant, now: datetime) -> None:
    people = customers(20)
    with_carts(people, lamp)
    assert all(buyer(one, now)() for one in people)
    asked: list[str] = []

    class Counting(payment.Dummy):
        def charge(self, *, key: str, **rest: Any) -> payment.Answer:
            asked.append(key)
            return super().charge(key=key, **rest)

    def clock() -> None:
        for claim in settling.claim_due(clock=lambda: now, most=20):
            settling.settle(claim, provider=Counting(), clock=lambda: now)

    assert together(*[clock] * 4) == []
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == 20
    assert counts(lamp) == (PIECES - 20, 0)
    assert broken(now) == set()


def test_one_slow_payment_holds_up_neither_the_tick_nor_the_others(lamp: Variant, now: datetime) -> None:
    people = customers(4)
    with_carts(people, lamp)
    assert all(buyer(one, now)() for one in people)
    let_go = threading.Event()

    class FirstOneHangs(payment.Dummy):
        def charge(self, *, key: str, **rest: Any) -> payment.Answer:
            if key.startswith(Order.objects.order_by("pk")[0].number):
                assert let_go.wait(90)
            return super().charge(key=key, **rest)

    desk = settling.Desk(FirstOneHangs, clock=lambda: now, at_once=2)
    assert desk.begin() == 2  # and it is back, with one of them hanging
    paid = Order.objects.filter(state="paid")
    until(lambda: desk.begin() == 0 and paid.count() == 3, "three are paid beside the one that hangs")
    let_go.set()
    desk.close()
    assert paid.count() == 4
    assert broken(now) == set()


def test_a_thread_that_is_through_takes_the_next_order_at_once(
    lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock ticks once. Were a thread to wait for its next tick, two would be paid."""
    monkeypatch.setattr(settling, "GONE_SECONDS", float("inf"))
    waiting(12, lamp, now)
    desk = settling.Desk(payment.Dummy, clock=lambda: now, at_once=2)
    assert desk.begin() == 2
    until(lambda: Order.objects.filter(state="paid").count() == 12, "all are paid")
    desk.close()
    assert broken(now) == set()


def test_when_the_clock_is_gone_no_further_order_is_taken_on(
    lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it can end, whatever waits."""
    monkeypatch.setattr(settling, "GONE_SECONDS", -1.0)
    waiting(3, lamp, now)
    desk = settling.Desk(payment.Dummy, clock=lambda: now, at_once=1)
    desk.begin()
    desk.close()
    assert Order.objects.filter(state="paid").count() == 1


def test_slow_payments_hold_up_nobody_elses(lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six whose bank answers too late, before one whose bank is quick: each is asked about once with little patience,
    and then the slow ones wait for each other."""
    monkeypatch.setattr(settling, "GONE_SECONDS", float("inf"))
    slow, honest = waiting(6, lamp, now, card="test-slow"), person()
    at, patiences, let_go = [now], list[float](), threading.Event()

    class SlowBanks(payment.Dummy):
        def charge(self, *, key: str, card: str, patience: float = 0.0, **rest: Any) -> payment.Answer:
            if card == "test-slow":
                patiences.append(patience)
                if patience == payment.FIRST_PATIENCE_SECONDS:
                    raise payment.NoAnswer(key)
                assert let_go.wait(90)
            return super().charge(key=key, card="test", patience=patience, **rest)

    desk = settling.Desk(SlowBanks, clock=lambda: at[0], at_once=2, again_at_once=2)
    desk.begin()
    later = now + settling.ASK_AGAIN
    until(lambda: Order.objects.filter(payment_due_at=later).count() == len(slow), "each was asked about once")
    at[0] = later
    until(lambda: desk.begin() == 0 and len(patiences) == len(slow) + 2, "two of them hang")
    with_carts([honest], lamp)
    assert buyer(honest, now)()
    paid = Order.objects.filter(state="paid")
    until(lambda: desk.begin() == 0 and paid.count() == 1, "the honest one is paid beside them")
    assert paid.get().customer == honest
    let_go.set()
    until(lambda: desk.begin() == 0 and paid.count() == 7, "the slow ones are paid as well")
    desk.close()
    assert set(patiences) == {payment.FIRST_PATIENCE_SECONDS, payment.PATIENCE_SECONDS}
    assert broken(now) == set()


def waiting(count: int, lamp: Variant, now: datetime, *, card: str = "test") -> list[Order]:
    """Orders whose payment is due."""
    people = customers(count)
    with_carts(people, lamp)
    return [orders.place(customer=one, key=key(one), to=HOME, card=card, now=now) for one in people]

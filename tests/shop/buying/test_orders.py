"""Orders, from the checkout to what becomes of their pieces and their money."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from shop import cart, orders, payment, placing, settling
from shop.address_book import Destination
from shop.models import CartLine, Change, Charge, Order, OrderLine, OrderMail, Product, Variant
from tests.shop.buying.conftest import Left, person, thing

pytestmark = pytest.mark.django_db

HOME = Destination("Ann", "High Street 1", "10115", "Berlin", "DE")


def fill(user: User, now: datetime, **quantities: int) -> None:
    for slug, quantity in quantities.items():
        cart.add(owner=cart.Owner(customer=user.pk), product=slug, variant=None, quantity=quantity, now=now)


def key(user: User) -> str:
    return orders.key_for(customer=user.pk, contents=cart.look(cart.Owner(customer=user.pk)))


def place(user: User, now: datetime, **changed: Any) -> Order:
    return orders.place(**{"customer": user, "key": key(user), "to": HOME, "card": "test", "now": now, **changed})


def settle(now: datetime, provider: payment.Provider | None = None, *, most: int = 10) -> int:
    claims = settling.claim_due(clock=lambda: now, most=most)
    for claim in claims:
        settling.settle(claim, provider=provider or payment.Dummy(), clock=lambda: now)
    return len(claims)


def state(order: Order) -> str:
    return Order.objects.values_list("state", flat=True).get(pk=order.pk)


def mails() -> list[str]:
    return list(OrderMail.objects.order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def ordered(ann: User, lamp: Variant, now: datetime) -> Order:
    fill(ann, now, lamp=3)
    return place(ann, now)


# --- placing ----------------------------------------------------------------------------------------------------------
def test_an_order_is_what_the_cart_held_at_the_prices_of_that_moment(
    ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    thing("shirt", cents=999, sizes=("S", "M"))
    fill(ann, now, lamp=3, shirt=2)
    order = place(ann, now)
    assert (order.state, order.total_cents, order.email) == ("reserved", 3 * 1_250 + 2 * 999, "ann@example.org")
    assert order.address == {
        "name": "Ann", "street": "High Street 1", "postcode": "10115", "city": "Berlin", "country": "DE",
    }  # fmt: skip
    lines = order.lines.order_by("pk").values_list("title", "sku", "unit_cents", "quantity")
    assert list(lines) == [("Lamp", "lamp-", 1_250, 3), ("Shirt, S", "shirt-S", 999, 2)]
    assert left(lamp) == (10, 3)
    assert CartLine.objects.count() == 0
    assert mails() == ["placed"]
    assert order.reserved_until == now + timedelta(minutes=15)


def test_one_key_makes_one_order_however_often_it_is_sent(ann: User, lamp: Variant, now: datetime, left: Left) -> None:
    fill(ann, now, lamp=3)
    same = key(ann)
    placed = {place(ann, now, key=same).pk for _ in range(3)}
    fill(ann, now, lamp=1)  # and also after something else was put into the cart
    assert placed == {place(ann, now, key=same).pk}
    assert Order.objects.count() == 1
    assert left(lamp) == (10, 3)
    assert mails() == ["placed"]


def test_a_key_is_of_one_customer(ann: User, lamp: Variant, now: datetime) -> None:
    bob = person("bob")
    fill(ann, now, lamp=1)
    fill(bob, now, lamp=1)
    hers = key(ann)
    place(ann, now, key=hers)
    with pytest.raises(orders.CartChanged):
        place(bob, now, key=hers)
    assert Order.objects.filter(customer=bob).count() == 0


def more(user: User, now: datetime) -> None:
    fill(user, now, lamp=1)


def dearer(user: User, now: datetime) -> None:
    Variant.objects.update(price_cents=1_251)


def cheaper(user: User, now: datetime) -> None:
    Variant.objects.update(price_cents=1)


def withdrawn(user: User, now: datetime) -> None:
    Product.objects.update(active=False)


@pytest.mark.parametrize("change", [more, dearer, cheaper, withdrawn])
def test_nothing_is_ordered_that_the_checkout_did_not_show(
    change: Callable[[User, datetime], None], ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    fill(ann, now, lamp=2)
    shown = key(ann)
    change(ann, now)
    with pytest.raises(orders.CartChanged):
        place(ann, now, key=shown)
    assert (Order.objects.count(), left(lamp)[1], OrderMail.objects.count()) == (0, 0, 0)
    assert cart.look(cart.Owner(customer=ann.pk)).count >= 2
    if change is not withdrawn:
        assert place(ann, now).total_cents == cart_total(lamp)


def cart_total(lamp: Variant) -> int:
    lamp.refresh_from_db()
    return OrderLine.objects.get().quantity * lamp.price_cents


@pytest.mark.parametrize("forged", ["", "x", "x.y", "A" * 22, "A" * 22 + ".forged", "A" * 22 + ".ü", "." * 5_000])
def test_a_key_that_we_did_not_make_orders_nothing(forged: str, ann: User, lamp: Variant, now: datetime) -> None:
    fill(ann, now, lamp=1)
    with pytest.raises(orders.CartChanged):
        place(ann, now, key=forged)
    assert Order.objects.count() == 0


def test_too_few_pieces_of_one_thing_order_nothing_of_another(
    ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    chair = thing("chair")
    fill(ann, now, lamp=3, chair=3)
    Variant.objects.filter(pk=chair.pk).update(reserved=8)
    with pytest.raises(orders.SoldOut):
        place(ann, now)
    assert (left(lamp), left(chair)) == ((10, 0), (10, 8))
    assert Order.objects.count() == 0
    assert cart.look(cart.Owner(customer=ann.pk)).count == 6


def test_an_empty_cart_orders_nothing(ann: User, lamp: Variant, now: datetime) -> None:
    with pytest.raises(orders.NothingToOrder):
        place(ann, now)


def test_an_unknown_card_orders_nothing(ann: User, lamp: Variant, now: datetime) -> None:
    fill(ann, now, lamp=1)
    with pytest.raises(orders.UnknownCard):
        place(ann, now, card="gold")
    assert Order.objects.count() == 0


# --- the payment ------------------------------------------------------------------------------------------------------
def test_a_payment_is_settled_once(ordered: Order, lamp: Variant, now: datetime, left: Left) -> None:
    assert settle(now) == 1
    assert settle(now) == 0
    ordered.refresh_from_db()
    assert (ordered.state, ordered.settled_at) == ("paid", now)
    assert ordered.payment_reference == f"dummy-{Charge.objects.get().pk}"
    assert left(lamp) == (7, 0)
    assert mails() == ["placed", "paid"]


def test_a_refused_payment_keeps_the_pieces_and_another_card_pays(
    ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    fill(ann, now, lamp=3)
    order = place(ann, now, card="test-refused")
    settle(now)
    assert (state(order), left(lamp)) == ("refused", (10, 3))
    for _ in range(2):  # a double click asks once
        orders.pay_again(customer=ann, number=order.number, card="test", now=now)
    assert Order.objects.get().payment_attempts == 2
    settle(now)
    assert (state(order), left(lamp)) == ("paid", (7, 0))
    assert [(charge.key, charge.state) for charge in Charge.objects.order_by("pk")] == [
        (f"{order.number}-1", "refused"),
        (f"{order.number}-2", "accepted"),
    ]


def test_cards_are_tried_a_few_times_only(ann: User, lamp: Variant, now: datetime) -> None:
    fill(ann, now, lamp=1)
    order = place(ann, now, card="test-refused")
    for _ in range(orders.MOST_ATTEMPTS - 1):
        settle(now)
        orders.pay_again(customer=ann, number=order.number, card="test-refused", now=now)
    settle(now)
    with pytest.raises(orders.TooLate):
        orders.pay_again(customer=ann, number=order.number, card="test", now=now)
    assert (state(order), Charge.objects.count()) == ("refused", 5)


def test_a_bank_that_answers_too_late_is_asked_again_and_paid_once(
    ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    fill(ann, now, lamp=3)
    order = place(ann, now, card="test-slow")
    waited: list[float] = []
    slow = payment.Dummy(pause=waited.append)
    settle(now, slow)
    assert (waited, state(order)) == ([payment.FIRST_PATIENCE_SECONDS], "reserved")
    assert settle(now, slow) == 0  # not at once
    later = now + settling.ASK_AGAIN
    assert settle(later, slow) == 1
    assert (waited, state(order), left(lamp)) == ([payment.FIRST_PATIENCE_SECONDS], "paid", (7, 0))
    assert Charge.objects.count() == 1


def test_who_dies_while_asking_leaves_the_payment_due(ordered: Order, now: datetime) -> None:
    (claim,) = settling.claim_due(clock=lambda: now, most=10)
    payment.Dummy().charge(key=claim.key, amount_cents=claim.amount_cents, card=claim.card)  # and is gone
    assert settle(now + settling.LEASE - timedelta(seconds=1)) == 0
    assert settle(now + settling.LEASE) == 1
    assert (state(ordered), Charge.objects.count()) == ("paid", 1)


def test_a_payment_is_claimed_by_one(ordered: Order, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Order.objects.get()
    assert settling._claim(row, now + settling.LEASE) is not None
    assert settling._claim(row, now + settling.LEASE) is None


def test_so_many_of_a_hundred_are_refused_and_always_the_same(db: None) -> None:
    def refused() -> list[str]:
        dummy = payment.Dummy(refused_percent=20)
        return [n for n in map(str, range(60)) if not dummy.charge(key=n, amount_cents=1, card="test").accepted]

    first = refused()
    assert 5 <= len(first) <= 20
    assert refused() == first


# --- cancelling -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("before", ["reserved", "refused", "paid"])
def test_cancelling_returns_the_pieces_and_the_money(
    before: str, ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    fill(ann, now, lamp=3)
    order = place(ann, now, card="test-refused" if before == "refused" else "test")
    if before != "reserved":
        settle(now)
    assert state(order) == before
    for _ in range(2):
        orders.cancel(customer=ann, number=order.number, now=now)
    assert (state(order), left(lamp)) == ("cancelled", (10, 0))
    settle(now)
    assert Order.objects.get().payment_due_at is None
    assert list(Charge.objects.values_list("state", flat=True)) == ["refused" if before == "refused" else "undone"]
    assert mails() == (["placed", "paid", "cancelled"] if before == "paid" else ["placed", "cancelled"])


def test_who_cancels_while_the_provider_thinks_gets_the_money_back(
    ordered: Order, ann: User, lamp: Variant, now: datetime, left: Left
) -> None:
    (claim,) = settling.claim_due(clock=lambda: now, most=10)

    class CancelledMeanwhile(payment.Dummy):
        def charge(self, **asked: Any) -> payment.Answer:
            answer = super().charge(**asked)
            orders.cancel(customer=ann, number=ordered.number, now=now)
            return answer

    settling.settle(claim, provider=CancelledMeanwhile(), clock=lambda: now)
    assert (state(ordered), left(lamp), Charge.objects.get().state) == ("cancelled", (10, 0), "accepted")
    assert settle(now) == 1
    assert Charge.objects.get().state == "undone"
    assert left(lamp) == (10, 0)


def test_what_was_undone_before_it_was_charged_is_never_charged(db: None) -> None:
    payment.Dummy().undo(key="one-1")
    assert not payment.Dummy().charge(key="one-1", amount_cents=5, card="test").accepted
    assert payment.Dummy().charge(key="two-1", amount_cents=5, card="test").accepted  # the control


def test_an_order_of_long_ago_is_not_cancelled(ordered: Order, ann: User, lamp: Variant, now: datetime) -> None:
    settle(now)
    with pytest.raises(orders.TooLate):
        orders.cancel(customer=ann, number=ordered.number, now=now + timedelta(days=15))
    assert state(ordered) == "paid"


def test_nobody_elses_order_can_be_touched(ordered: Order, now: datetime) -> None:
    bob = person("bob")
    for touch in (
        lambda: orders.cancel(customer=bob, number=ordered.number, now=now),
        lambda: orders.pay_again(customer=bob, number=ordered.number, card="test", now=now),
        lambda: orders.one(customer=bob, number=ordered.number),
    ):
        with pytest.raises(orders.NotYours):
            touch()
    assert orders.of(customer=bob) == ([], False)
    assert state(ordered) == "reserved"


# --- running out ------------------------------------------------------------------------------------------------------
def test_what_is_not_paid_in_time_goes_back(ann: User, lamp: Variant, now: datetime, left: Left) -> None:
    fill(ann, now, lamp=3)
    order = place(ann, now, card="test-refused")
    settle(now)
    over = order.reserved_until
    assert orders.expire(now=over - timedelta(seconds=1)) == 0
    assert orders.expire(now=over) == 1
    assert orders.expire(now=over) == 0
    assert (state(order), left(lamp)) == ("expired", (10, 0))
    for late in (orders.pay_again, orders.cancel):
        with pytest.raises(orders.TooLate):
            late(customer=ann, number=order.number, now=over, **({"card": "test"} if late is orders.pay_again else {}))
    assert mails() == ["placed", "cancelled"]


def test_an_expired_reservation_is_not_paid_also_before_the_clock_has_looked(
    ann: User, lamp: Variant, now: datetime
) -> None:
    fill(ann, now, lamp=3)
    order = place(ann, now, card="test-refused")
    settle(now)
    with pytest.raises(orders.TooLate):
        orders.pay_again(customer=ann, number=order.number, card="test", now=order.reserved_until)
    assert state(order) == "refused"


def test_a_provider_that_is_away_is_waited_for_and_then_undone(
    ordered: Order, lamp: Variant, now: datetime, left: Left
) -> None:
    """The answer may still come: it finds the order run out, and the money goes back."""
    (claim,) = settling.claim_due(clock=lambda: now, most=10)
    assert orders.expire(now=ordered.reserved_until) == 0
    over = ordered.reserved_until + orders.GRACE
    assert orders.expire(now=over) == 1
    settling.settle(claim, provider=payment.Dummy(), clock=lambda: over)
    assert Charge.objects.get().state == "accepted"
    settle(over)
    assert (state(ordered), left(lamp), Charge.objects.get().state) == ("expired", (10, 0), "undone")


def test_what_nobody_asked_the_provider_about_does_not_run_out(
    ordered: Order, lamp: Variant, now: datetime, left: Left
) -> None:
    """The clock was down, or had too much to do. Asked late, it is waited for as long as anybody."""
    late = ordered.reserved_until + orders.GRACE
    assert orders.expire(now=late) == 0
    (claim,) = settling.claim_due(clock=lambda: late, most=10)
    assert orders.expire(now=late + orders.GRACE - timedelta(seconds=1)) == 0
    settling.settle(claim, provider=payment.Dummy(), clock=lambda: late)
    assert (state(ordered), left(lamp)) == ("paid", (7, 0))


def test_what_was_asked_late_and_has_no_answer_runs_out_after_all(ordered: Order, lamp: Variant, left: Left) -> None:
    late = ordered.reserved_until + orders.GRACE
    assert len(settling.claim_due(clock=lambda: late, most=10)) == 1
    assert orders.expire(now=late + orders.GRACE) == 1
    assert (state(ordered), left(lamp)) == ("expired", (10, 0))


def test_another_card_is_asked_about_anew(ann: User, lamp: Variant, now: datetime) -> None:
    fill(ann, now, lamp=1)
    order = place(ann, now, card="test-refused")
    settle(now)
    orders.pay_again(customer=ann, number=order.number, card="test", now=now)
    (claim,) = settling.claim_due(clock=lambda: now, most=10, again=False)
    assert claim.patience == payment.FIRST_PATIENCE_SECONDS
    (again,) = settling.claim_due(clock=lambda: claim.until, most=10, again=True)
    assert again.patience == payment.PATIENCE_SECONDS


def refused_orders(count: int, lamp: Variant, now: datetime) -> list[Order]:
    made = []
    for n in range(count):
        user = person(f"v{n}")
        fill(user, now, lamp=1)
        made.append(place(user, now, card="test-refused"))
    assert settle(now, most=count) == count
    return made


def test_all_that_is_over_runs_out_in_one_go(
    lamp: Variant, now: datetime, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "EXPIRED_AT_ONCE", 2)
    made = refused_orders(5, lamp, now)
    assert orders.expire(now=made[0].reserved_until) == 5
    assert left(lamp) == (10, 0)


def test_an_order_whose_books_are_wrong_holds_up_no_other(
    lamp: Variant, now: datetime, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "EXPIRED_AT_ONCE", 1)
    first, second, third = refused_orders(3, lamp, now)
    OrderLine.objects.filter(order=first).update(quantity=9)  # more than anybody holds
    assert orders.expire(now=first.reserved_until) == 2
    assert [state(one) for one in (first, second, third)] == ["refused", "expired", "expired"]
    assert f"order {first.pk} cannot be ended" in caplog.text
    OrderLine.objects.filter(order=first).update(quantity=1)
    assert orders.expire(now=first.reserved_until) == 1


# --- what one customer may have ---------------------------------------------------------------------------------------
def test_a_customer_has_a_few_open_orders_at_once(
    ann: User, lamp: Variant, now: datetime, left: Left, settings: Any
) -> None:
    settings.ORDERS_OPEN = 2
    forms = []
    for _ in range(2):
        fill(ann, now, lamp=1)
        forms.append(key(ann))
        place(ann, now, card="test-refused", key=forms[-1])
    settle(now)
    fill(ann, now, lamp=1)
    with pytest.raises(orders.TooManyOpen):
        place(ann, now)
    assert (Order.objects.count(), left(lamp), mails()) == (2, (10, 2), ["placed"] * 2)
    assert place(ann, now, card="test-refused", key=forms[0]).key == forms[0].partition(".")[0]  # placed is placed
    fill(person("bob"), now, lamp=1)
    place(User.objects.get(username="bob@example.org"), now)  # others are not held back
    orders.cancel(customer=ann, number=Order.objects.order_by("pk")[0].number, now=now)
    place(ann, now)


def test_orders_and_their_mails_have_an_end_in_an_hour(ann: User, lamp: Variant, now: datetime, settings: Any) -> None:
    settings.ORDERS_PER_HOUR = 3
    for _ in range(3):
        fill(ann, now, lamp=1)
        orders.cancel(customer=ann, number=place(ann, now).number, now=now)
    fill(ann, now, lamp=1)
    with pytest.raises(orders.TooOften):
        place(ann, now + timedelta(minutes=59))
    assert mails() == ["placed", "cancelled"] * 3
    place(ann, now + timedelta(hours=1))


def test_who_cannot_be_written_to_orders_nothing(ann: User, lamp: Variant, now: datetime) -> None:
    fill(ann, now, lamp=1)
    ann.email = ""
    with pytest.raises(orders.NoWayToWrite):
        place(ann, now)


# --- what pages are told ----------------------------------------------------------------------------------------------
def test_pages_are_told_of_the_last_pieces_and_of_the_next_first_one(ann: User, lamp: Variant, now: datetime) -> None:
    def told() -> list[str]:
        tags = list(Change.objects.order_by("pk").values_list("tag", flat=True))
        Change.objects.all().delete()
        return tags

    its = [f"product:{lamp.product_id}"]
    last = None
    for pieces, tags in ((6, []), (3, its), (1, its)):  # 10 are there; below four the page says how many
        fill(ann, now, lamp=pieces)
        last = place(ann, now)
        assert told() == tags
    settle(now)
    assert told() == []
    assert last is not None
    orders.cancel(customer=ann, number=last.number, now=now)
    assert told() == its


# --- the guards, taken away -------------------------------------------------------------------------------------------
def test_without_the_seal_a_price_is_ordered_that_nobody_was_shown(
    ann: User, lamp: Variant, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(placing, "_sealed", lambda *of: "seal")
    fill(ann, now, lamp=1)
    shown = key(ann)
    dearer(ann, now)
    assert place(ann, now, key=shown).total_cents == 1_251


def test_without_the_claim_the_keys_still_let_a_payment_be_taken_once(
    ordered: Order, lamp: Variant, now: datetime, left: Left
) -> None:
    (claim,) = settling.claim_due(clock=lambda: now, most=10)
    for _ in range(2):
        settling.settle(claim, provider=payment.Dummy(), clock=lambda: now)
    assert (Charge.objects.count(), state(ordered), left(lamp), mails()) == (1, "paid", (7, 0), ["placed", "paid"])


def test_without_keys_a_second_question_takes_the_money_again(ordered: Order, lamp: Variant, now: datetime) -> None:
    """Negative control: a provider that does not know the key again."""

    class Forgetful(payment.Dummy):
        def charge(self, *, key: str, **asked: Any) -> payment.Answer:
            return super().charge(key=f"{key}/{Charge.objects.count()}", **asked)

    (claim,) = settling.claim_due(clock=lambda: now, most=10)
    for _ in range(2):
        settling.settle(claim, provider=Forgetful(), clock=lambda: now)
    assert Charge.objects.filter(state="accepted").count() == 2

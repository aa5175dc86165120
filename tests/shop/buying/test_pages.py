"""Checkout and orders, as a browser without script meets them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config import delivery, outbox
from shop import address_book, orders, payment, settling
from shop.models import Address, Charge, Order, OrderMail, Variant
from tests.shop.buying.conftest import HEADERS, person

pytestmark = pytest.mark.django_db

TYPED = {
    "address": "new", "name": "Ann", "street": "Low Street 2", "postcode": "1010", "city": "Vienna", "country": "AT",
}  # fmt: skip


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def settle(now: datetime) -> None:
    for claim in settling.claim_due(clock=lambda: now, most=10):
        settling.settle(claim, provider=payment.Dummy(), clock=lambda: now)


def filled(browser: Client, **fields: Any) -> dict[str, Any]:
    """The checkout's form as it comes, with its first address and card."""
    page = text_of(browser.get("/shop/checkout/"))
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found
    return {"key": found[1], "address": str(Address.objects.order_by("pk")[0].pk), "card": "test", **fields}


def send(browser: Client, form: dict[str, Any], **how: Any) -> Any:
    return browser.post("/shop/checkout/", form, **how)


@pytest.fixture
def lamp_in_cart(anns: Client, lamp: Variant) -> Client:
    anns.post("/shop/cart/add/", {"variant": lamp.pk, "quantity": 2})
    return anns


def test_from_the_cart_to_the_paid_order(lamp_in_cart: Client, ann: User, now: datetime) -> None:
    browser = lamp_in_cart
    answer = send(browser, filled(browser))
    placed = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/shop/orders/{placed.number}/")
    waiting = browser.get(answer["Location"])
    assert "Your payment is under way" in text_of(waiting)
    assert 'http-equiv="refresh"' in text_of(waiting)
    settle(placed.placed_at)
    page = browser.get(answer["Location"])
    assert "Your order is paid" in text_of(page)
    assert 'http-equiv="refresh"' not in text_of(page)
    assert page["Cache-Control"] == "private, no-store"
    history = text_of(browser.get("/shop/orders/"))
    assert placed.number in history
    assert "2 × Lamp" in history
    assert browser.get("/api/cart").json()["count"] == 0


def test_who_is_not_logged_in_is_led_there_and_back(browser: Client, lamp: Variant) -> None:
    for path in ("/shop/checkout/", "/shop/orders/", "/shop/orders/X/"):
        answer = browser.get(path)
        assert (answer.status_code, answer["Location"]) == (303, f"/account/login/?next={path.replace('/', '%2F')}")
    assert send(browser, {}).status_code == 303
    assert browser.post("/shop/checkout/", {}, headers={"accept": "application/json"}).status_code == 401
    assert Order.objects.count() == 0


def test_the_back_button_and_a_double_click_order_once(lamp_in_cart: Client) -> None:
    form = filled(lamp_in_cart)
    first, second = send(lamp_in_cart, form), send(lamp_in_cart, form)
    assert first["Location"] == second["Location"]
    assert Order.objects.count() == 1
    assert lamp_in_cart.get("/shop/checkout/")["Location"] == "/shop/cart/"


@pytest.mark.parametrize("changed", [TYPED, {"card": "test-refused"}])
def test_the_back_button_and_another_address_or_card_are_not_silently_dropped(
    changed: dict[str, str], lamp_in_cart: Client, ann: User
) -> None:
    form = filled(lamp_in_cart)
    placed = send(lamp_in_cart, form)["Location"]
    assert "had sent this form before" not in text_of(lamp_in_cart.get(placed))
    told = send(lamp_in_cart, {**form, **changed}, headers={"accept": "application/json"})
    assert told.status_code == 409
    assert placed.split("/")[3] in told.json()["detail"]
    answer = send(lamp_in_cart, {**form, **changed})
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, placed)
    page = text_of(lamp_in_cart.get(answer["Location"]))
    assert "You had sent this form before" in page
    assert "Berlin" in page
    assert Order.objects.get().card == "test"
    assert not Address.objects.filter(customer=ann, city="Vienna").exists()


def test_after_another_card_was_tried_the_first_form_leads_to_the_order(lamp_in_cart: Client, now: datetime) -> None:
    form = filled(lamp_in_cart, card="test-refused")
    way = send(lamp_in_cart, form)["Location"]
    settle(Order.objects.get().placed_at)
    assert lamp_in_cart.post(f"{way}pay/", {"card": "test"})["Location"] == way
    assert send(lamp_in_cart, form)["Location"] == way


def test_a_form_of_what_was_ordered_already_shows_no_empty_checkout(lamp_in_cart: Client) -> None:
    form = filled(lamp_in_cart)
    send(lamp_in_cart, form)
    for lacking in ({"card": ""}, {"address": ""}, {**TYPED, "city": ""}):
        page = send(lamp_in_cart, {**form, **lacking})
        assert page.status_code == 409
        assert "among your orders" in text_of(page)
        assert 'action="/shop/checkout/"' not in text_of(page)


def test_a_book_that_was_filled_meanwhile_fails_no_order(
    lamp_in_cart: Client, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = filled(lamp_in_cart, **TYPED)

    def overtaken(**asked: Any) -> None:
        raise address_book.TooMany

    monkeypatch.setattr(address_book, "add", overtaken)  # another tab added the last one in between
    answer = send(lamp_in_cart, form)
    assert (answer.status_code, answer["Location"]) == (303, f"/shop/orders/{Order.objects.get().number}/")


def test_who_has_no_email_address_is_told_before_the_checkout(lamp_in_cart: Client, ann: User) -> None:
    form = filled(lamp_in_cart)
    User.objects.filter(pk=ann.pk).update(email="")
    for page in (lamp_in_cart.get("/shop/checkout/"), send(lamp_in_cart, form)):
        assert page.status_code == 409
        assert "has no email address" in text_of(page)
    assert Order.objects.count() == 0


def test_who_has_too_many_open_orders_or_orders_too_often_is_told(
    lamp_in_cart: Client, lamp: Variant, settings: Any
) -> None:
    settings.ORDERS_OPEN, settings.ORDERS_PER_HOUR = 1, 2
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    lamp_in_cart.post("/shop/cart/add/", {"variant": lamp.pk})
    page = send(lamp_in_cart, filled(lamp_in_cart))
    assert (page.status_code, "pay or cancel one" in text_of(page)) == (409, True)
    lamp_in_cart.post(f"{way}cancel/")
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    lamp_in_cart.post(f"{way}cancel/")
    lamp_in_cart.post("/shop/cart/add/", {"variant": lamp.pk})
    form = filled(lamp_in_cart)
    page = send(lamp_in_cart, form)
    assert (page.status_code, "within an hour" in text_of(page)) == (429, True)
    assert int(page["Retry-After"]) > 0
    assert send(lamp_in_cart, form, headers={"accept": "application/json"}).status_code == 429
    assert Order.objects.count() == 2


def test_two_tabs_of_one_cart_order_once(lamp_in_cart: Client) -> None:
    tabs = [filled(lamp_in_cart), filled(lamp_in_cart)]
    assert tabs[0]["key"] != tabs[1]["key"]
    answers = [send(lamp_in_cart, tab) for tab in tabs]
    assert [answer.status_code for answer in answers] == [303, 409]
    assert "among your orders" in text_of(answers[1])
    assert Order.objects.count() == 1


def test_a_price_that_changed_is_shown_before_it_is_ordered(lamp_in_cart: Client, lamp: Variant) -> None:
    form = filled(lamp_in_cart)
    Variant.objects.update(price_cents=2_000)
    page = send(lamp_in_cart, form)
    assert page.status_code == 409
    assert "€40.00" in text_of(page)
    assert Order.objects.count() == 0
    new = re.search(r'name="key" value="([^"]+)"', text_of(page))
    assert new
    assert send(lamp_in_cart, {**form, "key": new[1]}).status_code == 303
    assert Order.objects.get().total_cents == 4_000


def test_what_somebody_else_bought_meanwhile_is_said(lamp_in_cart: Client, lamp: Variant) -> None:
    form = filled(lamp_in_cart)
    Variant.objects.update(reserved=9)
    page = send(lamp_in_cart, form)
    assert page.status_code == 409
    assert "Somebody was faster" in text_of(page)
    assert "Only 1 left" in text_of(page)
    assert Order.objects.count() == 0


def test_a_typed_address_is_taken_and_kept_once(lamp_in_cart: Client, ann: User) -> None:
    form = filled(lamp_in_cart, **TYPED)
    for _ in range(2):
        assert send(lamp_in_cart, form).status_code == 303
    assert Order.objects.get().address["city"] == "Vienna"
    assert Address.objects.filter(customer=ann, city="Vienna").count() == 1


WRONG = {
    "no key": ({"key": ""}, 422, "lost its key"),
    "forged key": ({"key": "A" * 22 + ".forged"}, 409, "Something has changed"),
    "no address": ({"address": ""}, 422, "choose where to send it"),
    "absurd address": ({"address": "all"}, 422, "whole number"),
    "half an address": ({**TYPED, "city": ""}, 422, "Please enter the town."),
    "no card": ({"card": ""}, 422, "choose how to pay"),
    "unknown card": ({"card": "gold"}, 422, "choose how to pay"),
    "a price": ({"total_cents": "1"}, 422, "no field total_cents"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_form_comes_back_with_what_is_wrong(case: str, lamp_in_cart: Client, lamp: Variant) -> None:
    changed, status, words = WRONG[case]
    page = send(lamp_in_cart, filled(lamp_in_cart, **changed))
    assert page.status_code == status
    assert words in text_of(page)
    assert (Order.objects.count(), Variant.objects.get().reserved) == (0, 0)
    told = send(lamp_in_cart, filled(lamp_in_cart, **changed), headers={"accept": "application/json"})
    assert (told.status_code, told["Content-Type"]) == (status, "application/problem+json")


def test_another_customers_address_is_not_sent_to(lamp_in_cart: Client) -> None:
    person("bob")
    theirs = Address.objects.get(customer__username="bob@example.org")
    page = send(lamp_in_cart, filled(lamp_in_cart, address=str(theirs.pk)))
    assert page.status_code == 422
    assert "one of your addresses" in text_of(page)
    assert Order.objects.count() == 0


def test_an_order_is_nobody_elses(lamp_in_cart: Client) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    other = Client(headers=HEADERS)
    other.force_login(person("bob"))
    assert other.get(way).status_code == 404
    assert other.post(f"{way}cancel/").status_code == 404
    assert other.post(f"{way}pay/", {"card": "test"}).status_code == 404
    assert "Order " + way.split("/")[3] not in text_of(other.get("/shop/orders/"))
    assert Order.objects.get().state == "reserved"
    assert lamp_in_cart.get(way).status_code == 200  # the control


def test_a_refused_payment_is_tried_with_another_card(lamp_in_cart: Client, now: datetime) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart, card="test-refused"))["Location"]
    settle(Order.objects.get().placed_at)
    assert "Your payment was refused" in text_of(lamp_in_cart.get(way))
    assert lamp_in_cart.post(f"{way}pay/", {"card": "gold"}).status_code == 422
    assert lamp_in_cart.post(f"{way}pay/", {"card": "test"})["Location"] == way
    settle(Order.objects.get().payment_due_at or now)
    assert "Your order is paid" in text_of(lamp_in_cart.get(way))


def test_cancelling_is_said_and_what_is_cancelled_cannot_be_paid(lamp_in_cart: Client) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    for _ in range(2):
        assert lamp_in_cart.post(f"{way}cancel/")["Location"] == way
    assert "This order is cancelled" in text_of(lamp_in_cart.get(way))
    page = lamp_in_cart.post(f"{way}pay/", {"card": "test"})
    assert page.status_code == 409
    assert "time to pay for this order is over" in text_of(page)


@pytest.mark.parametrize("looked", [False, True])
def test_what_ran_out_is_neither_paid_nor_cancelled(looked: bool, lamp_in_cart: Client) -> None:
    """Also before the clock has looked."""
    way = send(lamp_in_cart, filled(lamp_in_cart, card="test-refused"))["Location"]
    order = Order.objects.get()
    settle(order.placed_at)
    over = order.placed_at - timedelta(seconds=1)
    Order.objects.update(reserved_until=over)
    if looked:
        assert orders.expire(now=over) == 1
    page = text_of(lamp_in_cart.get(way))
    assert ("not paid in time" if looked else "time to try another card is over") in page
    assert f"{way}pay/" not in page
    assert (f"{way}cancel/" in page) is not looked
    late = lamp_in_cart.post(f"{way}pay/", {"card": "test"})
    assert (late.status_code, "time to pay for this order is over" in text_of(late)) == (409, True)
    told = lamp_in_cart.post(f"{way}pay/", {"card": "test"}, headers={"accept": "application/json"})
    assert (told.status_code, told["Content-Type"]) == (409, "application/problem+json")
    if looked:
        late = lamp_in_cart.post(f"{way}cancel/")
        assert (late.status_code, "has run out already" in text_of(late)) == (409, True)
    assert Order.objects.get().state == ("expired" if looked else "refused")


@pytest.mark.parametrize("page", ["0", "-1", "2", "99999999999999999999", "x"])
def test_a_page_of_orders_that_is_not_there(page: str, anns: Client) -> None:
    assert anns.get("/shop/orders/", {"page": page}).status_code == 404


def test_orders_have_pages(anns: Client, lamp: Variant, ann: User, now: datetime, monkeypatch: Any) -> None:
    monkeypatch.setattr(orders, "PAGE_SIZE", 2)
    for _ in range(3):
        anns.post("/shop/cart/add/", {"product": "lamp"})
        send(anns, filled(anns))
    assert "Older orders" in text_of(anns.get("/shop/orders/"))
    last = text_of(anns.get("/shop/orders/?page=2"))
    assert "Newer orders" in last
    assert "Older orders" not in last


def test_the_history_costs_the_same_however_long_it_is(anns: Client, lamp: Variant) -> None:
    costs = []
    for _ in range(2):
        anns.post("/shop/cart/add/", {"product": "lamp"})
        send(anns, filled(anns))
        with CaptureQueriesContext(connection) as queries:
            anns.get("/shop/orders/")
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 4  # session (unless Redis has it), customer, orders, their lines


def delivered() -> None:
    batches: list[outbox.Batch] = []
    later = OrderMail.objects.latest("due_at").due_at
    outbox.relay(publish=batches.append, now=later)
    for batch in batches:
        delivery.deliver(batch, clock=lambda: later)


def test_mails_say_what_was_ordered_and_lead_to_it(lamp_in_cart: Client, mailoutbox: list[Any]) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    placed = Order.objects.get()
    delivered()
    settle(placed.placed_at)
    delivered()
    lamp_in_cart.post(f"{way}cancel/")
    delivered()
    assert [mail.subject for mail in mailoutbox] == [
        f"Your order {placed.number}",
        f"Your payment of order {placed.number}",
        f"Your order {placed.number} is cancelled",
    ]
    for mail in mailoutbox:
        assert mail.to == ["ann@example.org"]
        assert f"http://127.0.0.1:8000{way}" in mail.body
        assert "2 x Lamp" in mail.body
        assert "€25.00" in mail.body
    says(mailoutbox[0], "The pieces are put aside for you until it is paid.")
    says(mailoutbox[1], "We are packing it.")
    assert Charge.objects.get().state == "accepted"  # the clock gives the money back next


def says(mail: Any, words: str) -> None:
    """In text and in HTML."""
    assert words in mail.body
    assert words in mail.alternatives[0].content


def test_a_mail_that_waited_says_what_is_true_when_it_leaves(
    lamp_in_cart: Client, lamp: Variant, mailoutbox: list[Any]
) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    settle(Order.objects.get().placed_at)
    lamp_in_cart.post(f"{way}cancel/")
    delivered()
    placed, paid, _ = mailoutbox
    says(placed, "It has been cancelled since: nothing is put aside for you")
    says(paid, "The order has been cancelled since, so the money is given back.")
    for mail in (placed, paid):
        assert "packing" not in mail.body + mail.alternatives[0].content


@pytest.mark.parametrize(("state", "words"), [("paid", "It is paid"), ("expired", "It was not paid in time")])
def test_the_first_mail_may_come_last(state: str, words: str, lamp_in_cart: Client, mailoutbox: list[Any]) -> None:
    send(lamp_in_cart, filled(lamp_in_cart))
    Order.objects.update(state=state)
    delivered()
    says(mailoutbox[0], words)
    assert "put aside for you until" not in mailoutbox[0].body

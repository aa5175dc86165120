"""Checkout and orders, as a browser without script meets them."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config import delivery, outbox
from shop import orders, payment, settling
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


def test_cancelling_is_said_and_what_ran_out_cannot_be_paid(lamp_in_cart: Client) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    for _ in range(2):
        assert lamp_in_cart.post(f"{way}cancel/")["Location"] == way
    assert "This order is cancelled" in text_of(lamp_in_cart.get(way))
    page = lamp_in_cart.post(f"{way}pay/", {"card": "test"})
    assert page.status_code == 409
    assert "time to pay for this order is over" in text_of(page)


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


def test_mails_say_what_was_ordered_and_lead_to_it(lamp_in_cart: Client, mailoutbox: list[Any], now: datetime) -> None:
    way = send(lamp_in_cart, filled(lamp_in_cart))["Location"]
    placed = Order.objects.get()
    settle(placed.placed_at)
    lamp_in_cart.post(f"{way}cancel/")
    batches: list[outbox.Batch] = []
    later = OrderMail.objects.latest("due_at").due_at
    assert outbox.relay(publish=batches.append, now=later) == 3
    for batch in batches:
        delivery.deliver(batch, clock=lambda: later)
    subjects = [mail.subject for mail in mailoutbox]
    assert subjects == [
        f"Your order {placed.number}",
        f"Your payment of order {placed.number}",
        f"Your order {placed.number} is cancelled",
    ]
    for mail in mailoutbox:
        assert mail.to == ["ann@example.org"]
        assert f"http://127.0.0.1:8000{way}" in mail.body
        assert "2 x Lamp" in mail.body
        assert "€25.00" in mail.body
    assert Charge.objects.get().state == "accepted"  # the clock gives the money back next

"""The cart: a guest's, a customer's, and the one that becomes the other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from shop import cart
from shop.models import Cart, CartLine, Product, Variant
from tests.shop.buying.conftest import HEADERS, person, thing

pytestmark = pytest.mark.django_db


JSON = {"accept": "application/json"}


def put(browser: Client, product: str = "lamp", headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return browser.post("/shop/cart/add/", {"product": product, **fields}, headers=headers)


def lines() -> list[tuple[int, int]]:
    return list(CartLine.objects.order_by("pk").values_list("variant_id", "quantity"))


def badge(browser: Client) -> Any:
    return browser.get("/api/cart").json()


# --- a guest ----------------------------------------------------------------------------------------------------------
def test_a_guest_gets_a_cart_and_a_cookie_by_adding_alone(browser: Client, lamp: Variant) -> None:
    for path in ("/shop/cart/", "/api/cart"):
        assert not browser.get(path).cookies
    assert Cart.objects.count() == 0
    answer = put(browser, quantity=2)
    assert (answer.status_code, answer["Location"]) == (303, "/shop/cart/")
    cookie = answer.cookies["cart"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 30 * 24 * 3600)
    assert badge(browser) == {"count": 2, "total_cents": 2_500, "currency": "EUR", "signed_in": False}
    page = browser.get("/shop/cart/")
    assert "€25.00" in page.content.decode()
    assert page["Cache-Control"] == "private, no-store"


def test_adding_again_adds_up(browser: Client, lamp: Variant) -> None:
    put(browser, quantity=2)
    assert put(browser, variant=lamp.pk).status_code == 303
    assert lines() == [(lamp.pk, 3)]
    assert Cart.objects.count() == 1


def test_without_a_variant_the_first_that_has_pieces_is_meant(browser: Client, db: None) -> None:
    small = thing("shirt", sizes=("S", "M"))
    Variant.objects.filter(pk=small.pk).update(reserved=10)
    put(browser, "shirt")
    assert lines() == [(small.pk + 1, 1)]


def test_a_guests_cart_is_nobody_elses(browser: Client, lamp: Variant) -> None:
    put(browser)
    other, kept = Client(headers=HEADERS), Cart.objects.get()
    assert badge(other)["count"] == 0
    for forged in (str(kept.pk), kept.token, f"{kept.token}:forged", cart.cookie_of(str(kept.pk)), ":", "9" * 5_000):
        other.cookies["cart"] = forged
        assert badge(other)["count"] == 0
    other.cookies["cart"] = cart.cookie_of(kept.token)  # the true one, as a control
    assert badge(other)["count"] == 1


def test_a_cookie_opens_no_later_cart_that_has_the_row_number_of_the_lost_one(browser: Client, lamp: Variant) -> None:
    """As on a promoted replica that lacked the last carts."""
    put(browser)
    lost = Cart.objects.get()
    number = lost.pk
    lost.delete()
    other = Client(headers=HEADERS)
    put(other, quantity=2)
    found = CartLine.objects.get()
    later = Cart.objects.create(pk=number) if found.cart_id != number else found.cart
    CartLine.objects.update(cart=later)
    assert badge(browser)["count"] == 0


def test_a_guests_cookie_never_opens_a_customers_cart(browser: Client, lamp: Variant, ann: User) -> None:
    mine = Cart.objects.create(customer=ann)
    mine.lines.create(variant=lamp, quantity=1, seen_cents=1)
    browser.cookies["cart"] = cart.cookie_of(mine.token)
    assert badge(browser)["count"] == 0
    assert browser.post("/shop/cart/update/", {"variant": lamp.pk, "quantity": 5}).status_code == 404
    assert lines() == [(lamp.pk, 1)]


# --- changing ---------------------------------------------------------------------------------------------------------
def test_a_line_is_changed_and_taken_out(browser: Client, lamp: Variant) -> None:
    put(browser)
    for quantity, expected in ((7, [(lamp.pk, 7)]), (0, [])):
        answer = browser.post("/shop/cart/update/", {"variant": lamp.pk, "quantity": quantity})
        assert (answer.status_code, lines()) == (303, expected)


def test_a_client_that_wants_json_is_told_the_badge(browser: Client, lamp: Variant) -> None:
    answer = browser.post("/shop/cart/add/", {"product": "lamp"}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["count"]) == (200, 1)


REFUSED = {
    "no product": ({"product": ""}, 422, "Please say which product."),
    "unknown product": ({"product": "nothing"}, 404, "not sold here"),
    "another product's variant": ({"product": "lamp", "variant": "999999"}, 404, "not sold here"),
    "a word": ({"product": "lamp", "quantity": "many"}, 422, "whole number"),
    "none": ({"product": "lamp", "quantity": "0"}, 422, "from 1 to 99"),
    "negative": ({"product": "lamp", "quantity": "-1"}, 422, "from 1 to 99"),
    "absurd": ({"product": "lamp", "quantity": "100"}, 422, "from 1 to 99"),
    "very absurd": ({"product": "lamp", "quantity": "9" * 4_000}, 422, "whole number"),
    "twice": ({"product": "lamp", "quantity": ["1", "2"]}, 422, "more than once"),
    "more than there is": ({"product": "lamp", "quantity": "11"}, 409, "Only 10 of these are left."),
    "a price": ({"product": "lamp", "price_cents": "1"}, 422, "no field price_cents"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(case: str, browser: Client, lamp: Variant) -> None:
    fields, status, words = REFUSED[case]
    page = browser.post("/shop/cart/add/", fields)
    assert page.status_code == status
    assert words in page.content.decode()
    told = browser.post("/shop/cart/add/", fields, headers={"accept": "application/json"})
    assert (told.status_code, told["Content-Type"]) == (status, "application/problem+json")
    assert words in told.json()["detail"]
    assert Cart.objects.count() == 0
    assert not page.cookies


@pytest.mark.parametrize("taken_away", ["product", "variant"])
def test_what_is_withdrawn_cannot_be_added_and_is_pointed_at(taken_away: str, browser: Client, lamp: Variant) -> None:
    put(browser)
    (Product if taken_away == "product" else Variant).objects.update(active=False)
    assert put(browser).status_code == 404
    page = browser.get("/shop/cart/").content.decode()
    assert "no longer sold" in page
    assert "/shop/checkout/" not in page
    assert badge(browser)["total_cents"] == 0


def test_a_deleted_product_leaves_the_cart(browser: Client, lamp: Variant) -> None:
    put(browser)
    Product.objects.all().delete()
    assert "nothing in it yet" in browser.get("/shop/cart/").content.decode()


def test_a_cart_is_bounded(browser: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cart, "MOST_LINES", 2)
    for slug, status in (("a", 303), ("b", 303), ("c", 409), ("a", 303)):
        if not Product.objects.filter(slug=slug).exists():
            thing(slug)
        assert put(browser, slug).status_code == status
    assert len(lines()) == 2


def test_a_price_that_changed_is_said(browser: Client, lamp: Variant) -> None:
    put(browser)
    Variant.objects.update(price_cents=1_500)
    page = browser.get("/shop/cart/").content.decode()
    assert "it was €12.50 when" in page
    assert badge(browser)["total_cents"] == 1_500


def test_another_sites_form_is_refused(browser: Client, lamp: Variant) -> None:
    fields = {"product": "lamp"}
    assert browser.post("/shop/cart/add/", fields, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert Cart.objects.count() == 0


# --- a customer -------------------------------------------------------------------------------------------------------
def test_a_customers_cart_needs_no_cookie(anns: Client, lamp: Variant, ann: User) -> None:
    assert "cart" not in put(anns).cookies
    assert Cart.objects.get().customer == ann
    assert badge(anns) == {"count": 1, "total_cents": 1_250, "currency": "EUR", "signed_in": True}


def test_what_a_guest_gathered_joins_the_customers(lamp: Variant, ann: User, now: datetime) -> None:
    chair = thing("chair")
    mine = cart.add(owner=cart.Owner(customer=ann.pk), product="lamp", variant=None, quantity=2, now=now)
    theirs = cart.add(owner=cart.NOBODY, product="lamp", variant=None, quantity=3, now=now)
    cart.add(owner=theirs, product="chair", variant=None, quantity=1, now=now)
    assert theirs.guest is not None
    for _ in range(2):  # the second time it is gone
        cart.join(guest=cart.cookie_of(theirs.guest), customer=ann, now=now)
    assert sorted(lines()) == [(lamp.pk, 5), (chair.pk, 1)]
    assert cart.look(mine).count == 6
    assert Cart.objects.count() == 1


def test_a_guests_cookie_shows_nothing_of_the_customer_whose_cart_it_joined(
    browser: Client, lamp: Variant, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the usual takes its time
    User.objects.create_user("ada@example.org", "ada@example.org", "three green boats")
    cookie = put(browser, quantity=2).cookies["cart"].value
    login = {"email": "ada@example.org", "password": "three green boats"}
    assert browser.post("/account/login/", login).status_code == 303
    assert (badge(browser)["count"], badge(browser)["signed_in"]) == (2, True)
    thief = Client(headers=HEADERS)
    thief.cookies["cart"] = cookie
    assert badge(thief) == {"count": 0, "total_cents": 0, "currency": "EUR", "signed_in": False}
    page = thief.get("/shop/cart/").content.decode()
    assert "nothing in it yet" in page
    assert "ada" not in page
    assert thief.post("/shop/cart/update/", {"variant": lamp.pk, "quantity": 9}).status_code == 404
    assert thief.get("/shop/checkout/")["Location"].startswith("/account/login/")
    put(thief, quantity=5)  # begins a cart of its own
    assert (badge(thief)["count"], badge(browser)["count"]) == (5, 2)


def test_joining_never_takes_a_customers_cart(lamp: Variant, ann: User, now: datetime) -> None:
    bob = person("bob")
    his = cart.add(owner=cart.Owner(customer=bob.pk), product="lamp", variant=None, quantity=1, now=now)
    for cookie in (None, "", "nonsense", Cart.objects.get().token, cart.cookie_of(Cart.objects.get().token)):
        cart.join(guest=cookie, customer=ann, now=now)
    assert (cart.look(his).count, cart.look(cart.Owner(customer=ann.pk)).count) == (1, 0)


def test_joining_keeps_within_the_most_that_a_cart_holds(
    ann: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cart, "MOST_LINES", 3)
    goods = [thing(f"t{n}").pk for n in range(5)]
    for some in (goods[:2], goods[2:], goods[:1]):
        guest = cart.NOBODY
        for variant in some:
            guest = cart.add(owner=guest, variant=variant, quantity=1, now=now)
        assert guest.guest is not None
        cart.join(guest=cart.cookie_of(guest.guest), customer=ann, now=now)
    assert lines() == [(goods[0], 2), (goods[1], 1), (goods[2], 1)]


@pytest.mark.usefixtures("still")
def test_so_many_guests_carts_are_made_for_one_address(lamp: Variant, ann: User, settings: Settings) -> None:
    settings.CARTS_PER_MINUTE = 2
    first, second, third = (Client(headers=HEADERS) for _ in range(3))
    assert [put(one).status_code for one in (first, second, first, third)] == [303, 303, 303, 429]
    told = put(third, headers=JSON)
    assert (told.status_code, told["Content-Type"]) == (429, "application/problem+json")
    assert 0 < int(told["Retry-After"]) <= 60
    assert put(Client(headers=HEADERS, REMOTE_ADDR="192.0.2.9")).status_code == 303
    third.force_login(ann)
    assert put(third).status_code == 303, "a customer's cart is one"
    Cart.objects.all().delete()
    assert put(first).status_code == 429, "a cookie of a cart that is gone makes another"
    settings.CARTS_PER_MINUTE = 0
    assert put(first).status_code == 303


def test_guests_carts_are_forgotten_and_customers_are_not(lamp: Variant, ann: User, now: datetime) -> None:
    for owner in (cart.NOBODY, cart.NOBODY, cart.Owner(customer=ann.pk)):
        cart.add(owner=owner, product="lamp", variant=None, quantity=1, now=now)
    Cart.objects.filter(pk=Cart.objects.order_by("pk")[0].pk).update(used_at=now - timedelta(days=31))
    later = now + timedelta(hours=1)
    assert cart.forget(now=later) == 1
    assert cart.forget(now=now + timedelta(days=31)) == 1
    assert cart.forget(now=now + timedelta(days=400)) == 0
    assert Cart.objects.get().customer == ann


# --- what it costs ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/shop/cart/", "/api/cart"])
def test_the_cart_costs_three_reads_at_most(path: str, anns: Client, lamp: Variant) -> None:
    for slug in ("a", "b", "c"):
        thing(slug)
        put(anns, slug)
    with CaptureQueriesContext(connection) as queries:
        assert anns.get(path).status_code == 200
    assert [query["sql"][:6] for query in queries] == ["SELECT"] * len(queries)
    assert len(queries) <= 3


def test_who_has_no_cart_costs_nothing(browser: Client, db: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert badge(browser)["count"] == 0
    assert len(queries) == 0

"""What is kept for everybody is looked into as the web tier left it: files, of whichever release."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config import audit
from shop import page_cache
from shop.caching import kept_pages, page_audit
from shop.models import Order, Product
from tests.shop.buying.conftest import person, thing
from tests.shop.buying.test_orders import fill, place

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    page_cache.forget()
    yield
    page_cache.forget()


@pytest.fixture
def order(now: datetime) -> Order:
    thing("lamp")
    fill(person("ann"), now, lamp=1)
    return place(User.objects.get(), now)


def keep(body: str, *, name: str = "/shop/c/house/", packed: str = "") -> None:
    """As the page cache would, if a view had found a way to know who asks."""
    now = time.monotonic()
    made = {"kind": "category", "tags": frozenset({"home"}), "began": now, "made": now, "as_of": time.time()}
    kept = kept_pages.page(name=name, content_type="text/html", body=body, **made)  # type: ignore[arg-type]
    if packed:
        kept.packed = kept_pages.page(name=name, content_type="text/html", body=packed, **made).packed  # type: ignore[arg-type]
    kept_pages.pages.put(kept)


def found(now: datetime) -> audit.Finding:
    return page_audit.nothing_private_kept(audit.Evidence(now=now))


def test_pages_as_they_are_rendered_are_clean(catalogue_of_12: list[Product], order: Order, now: datetime) -> None:
    for path in ("/shop/", "/shop/deals/", "/shop/events/", f"/shop/p/{catalogue_of_12[0].slug}/"):
        assert Client().get(path).status_code == 200
    assert found(now) == audit.Finding(checked=4, breaches=())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p>Hello ann@example.org</p>", "a customer's email"),
        ("<p>Hello ANN@Example.org.</p>", "a customer's email"),
        ("<p>Hello ann&#64;example.org</p>", "a customer's email"),
        ("<a href='/shop/orders/{number}/'>yours</a>", "an order's number"),
        ("<input name=csrfmiddlewaretoken>", "the secret of a form or session, csrfmiddlewaretoken"),
        ("<input type='hidden' name='key' value=''>", "the secret of a form or session, name='key'"),
    ],
)
def test_what_is_somebodys_is_found(order: Order, now: datetime, body: str, said: str) -> None:
    keep(body.replace("{number}", order.number))
    assert found(now).breaches == (f"/shop/c/house/: {said}",)


def test_the_packed_form_is_looked_into(order: Order, now: datetime) -> None:
    keep("<p>Hello</p>", packed="<p>Hello ann@example.org</p>")
    assert found(now).breaches == ("/shop/c/house/: a customer's email",)


def test_what_is_nobodys_is_no_breach(order: Order, now: datetime) -> None:
    keep("<p>Write to help@example.org about 2345-6789-ABCD</p>")
    assert found(now) == audit.Finding(checked=1, breaches=())


def test_who_looks_for_an_email_finds_it_in_their_own_question_alone(order: Order, now: datetime) -> None:
    asked = quote("Ann@example.org")
    keep("<p>Nothing found for ann@example.org</p>", name=f"/shop/search/?q={asked}")
    assert found(now).breaches == ()
    keep("<p>Nothing found for ann@example.org</p>", name="/shop/search/?q=lamp")
    assert found(now).breaches == ("/shop/search/?q=lamp: a customer's email",)


def test_pages_are_looked_up_in_bounded_numbers(order: Order, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_audit, "AT_ONCE", 2)
    for number in range(5):
        keep(f"<p>ann@example.org {number}</p>", name=f"/shop/c/house/?page={number}")
    assert (found(now).checked, len(found(now).breaches)) == (5, 5)

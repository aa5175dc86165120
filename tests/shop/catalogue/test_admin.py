"""What operators change goes through the domain: it is limited, and told."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from shop import catalogue, changes, events, page_cache
from shop.models import Change, Event, Order, Product, Variant

pytestmark = pytest.mark.django_db


@pytest.fixture
def variant(catalogue_of_12: list[Product]) -> Variant:
    found = Variant.objects.select_related("product").filter(product__was_cents=None)[0]
    Variant.objects.filter(pk=found.pk).update(stock=9, reserved=4)
    Change.objects.all().delete()
    found.refresh_from_db()
    return found


def told() -> set[str]:
    return set(Change.objects.values_list("tag", flat=True))


class Form(HTMLParser):
    """What a browser would send of a page's form if nobody changed it."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._text = ""
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, kind = given.get("name") or "", given.get("type")
        if tag == "textarea":
            self._text, self.sent[name] = name, ""
        elif tag == "input" and name and kind != "submit" and (kind != "checkbox" or "checked" in given):
            self.sent[name] = given.get("value") or ("on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        self._text = "" if tag == "textarea" else self._text

    def handle_data(self, data: str) -> None:
        if self._text:
            self.sent[self._text] += data


def address(row: Any) -> str:
    return reverse(f"admin:shop_{row._meta.model_name}_change", args=[row.pk])


def shown(client: Client, row: Any) -> dict[str, str]:
    return Form(client.get(address(row))).sent


def change(client: Client, row: Any, **fields: Any) -> Any:
    """Who is shown the form changes these fields of it; None: a box that is not ticked."""
    return send(client, row, {**shown(client, row), **fields})


def send(client: Client, row: Any, fields: dict[str, Any]) -> Any:
    return client.post(address(row), {name: value for name, value in fields.items() if value is not None})


def said(client: Client, answer: Any) -> list[str]:
    """What the page says to which an answer leads."""
    assert answer.status_code in (302, 303)
    return [str(message) for message in client.get(answer["Location"]).context["messages"]]


def test_a_price_and_a_stock(admin_client: Client, variant: Variant) -> None:
    assert change(admin_client, variant, price_cents=300, stock=50).status_code == 302
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock, variant.reserved) == (300, 50, 4)
    assert Product.objects.get(pk=variant.product_id).price_cents == 300
    assert told() == {changes.product(variant.product_id), changes.category(variant.product.category_id)}


def test_what_cannot_be_is_refused_beside_its_field(admin_client: Client, variant: Variant) -> None:
    before = (variant.price_cents, variant.stock)
    for price, stock in ((0, 9), (-5, 9), (10**12, 9), (500, 3), (500, -1), (500, 10**9)):
        answer = change(admin_client, variant, price_cents=price, stock=stock)
        assert answer.status_code == 200
        assert len(answer.context["adminform"].form.errors) == 1
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock) == before
    assert told() == set()


def test_a_product_is_withdrawn_and_renamed(admin_client: Client, variant: Variant) -> None:
    row = variant.product
    assert change(admin_client, row, title="Another", description="Words.", active=None).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.description, row.active) == ("Another", "Words.", False)
    assert changes.product(row.pk) in told()


def test_a_deal_that_is_none_is_refused(admin_client: Client, variant: Variant) -> None:
    row = variant.product
    for none in (row.price_cents, 10_000_001, 10**12):
        answer = change(admin_client, row, was_cents=none)
        assert (answer.status_code, list(answer.context["adminform"].form.errors)) == (200, ["was_cents"])
    assert change(admin_client, row, was_cents=row.price_cents + 1).status_code == 302
    assert told() == {changes.product(row.pk), changes.category(row.category_id), changes.DEALS}


# --- what came between showing and saving -----------------------------------------------------------------------------
def test_a_new_price_puts_nothing_back_that_was_sold_meanwhile(admin_client: Client, variant: Variant) -> None:
    fields = shown(admin_client, variant)
    Variant.objects.update(stock=5, reserved=0)
    assert send(admin_client, variant, {**fields, "price_cents": 300}).status_code == 302
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock) == (300, 5)


def test_a_price_is_changed_though_more_is_held_than_was_shown(admin_client: Client, variant: Variant) -> None:
    fields = shown(admin_client, variant)
    Variant.objects.update(stock=90, reserved=80)
    assert send(admin_client, variant, {**fields, "price_cents": 300}).status_code == 302
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock, variant.reserved) == (300, 90, 80)


def test_a_stock_that_moved_is_refused_with_all_the_rest(admin_client: Client, variant: Variant) -> None:
    fields, price = shown(admin_client, variant), variant.price_cents
    Variant.objects.update(stock=5, reserved=0)
    answer = send(admin_client, variant, {**fields, "price_cents": 300, "stock": 19})
    assert said(admin_client, answer) == [
        "Nothing was changed: The stock was 9 when you were shown it and is 5 now. Please look again."
    ]
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock) == (price, 5)
    assert told() == set()
    again = change(admin_client, variant, price_cents=300, stock=15)  # shown anew it can be done
    assert "was changed successfully" in said(admin_client, again)[0]
    variant.refresh_from_db()
    assert (variant.price_cents, variant.stock) == (300, 15)


def test_a_stock_that_does_not_say_what_it_was_is_not_taken(admin_client: Client, variant: Variant) -> None:
    for lost in (None, "", "nine", "9" * 5_000):
        answer = change(admin_client, variant, stock=50, **{"initial-stock": lost})
        assert "open it anew" in str(answer.context["adminform"].form.errors)
    variant.refresh_from_db()
    assert variant.stock == 9


def test_a_new_title_brings_back_nothing_that_was_withdrawn_meanwhile(admin_client: Client, variant: Variant) -> None:
    fields = shown(admin_client, variant.product)
    Product.objects.update(active=False, description="Other words.")
    assert send(admin_client, variant.product, {**fields, "title": "Another"}).status_code == 302
    row = Product.objects.get(pk=variant.product_id)
    assert (row.title, row.active, row.description) == ("Another", False, "Other words.")


def test_a_product_that_is_gone_meanwhile_is_no_failure(
    admin_client: Client, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**_: Any) -> None:
        raise catalogue.NotThere("There is no such product or variant.")

    monkeypatch.setattr(catalogue, "set_deal", gone)
    answer = change(admin_client, variant.product, was_cents=variant.product.price_cents + 1)
    assert said(admin_client, answer) == ["Nothing was changed: There is no such product or variant."]


# --- departments ------------------------------------------------------------------------------------------------------
def test_a_category_is_renamed_on_every_page(
    admin_client: Client, client: Client, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, product = variant.product.category, variant.product
    pages = ["/shop/", f"/shop/c/{row.slug}/", f"/shop/p/{product.slug}/", "/shop/deals/"]
    changes.look_now()
    assert not [path for path in pages if "Glasshouse" in client.get(path).content.decode()]
    answer = change(admin_client, row, name="Glasshouse", slug="stolen")
    assert answer.status_code == 302
    assert told() == {changes.DEPARTMENTS, changes.category(row.pk)}
    changes.look_now()
    page_cache.forget()
    assert [path for path in pages if "Glasshouse" in client.get(path).content.decode()] == pages
    row.refresh_from_db()
    assert row.slug != "stolen"


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\x1fb", "a\nb"])
def test_a_name_that_is_none_is_refused(admin_client: Client, variant: Variant, name: str) -> None:
    answer = change(admin_client, variant.product.category, name=name)
    assert (answer.status_code, list(answer.context["adminform"].form.errors)) == (200, ["name"])
    assert told() == set()


def test_an_event_with_its_products(admin_client: Client, catalogue_of_12: list[Product], now: Any) -> None:
    Change.objects.all().delete()
    times = {"starts_at_0": "2026-01-01", "starts_at_1": "00:00", "ends_at_0": "2099-01-01", "ends_at_1": "00:00"}
    fields = {"title": "Fair", "slug": "fair", "text": "Come.", "products": str(catalogue_of_12[3].pk), **times}
    assert admin_client.post(reverse("admin:shop_event_add"), fields).status_code == 302
    row = Event.objects.get(slug="fair")
    assert [card.id for card in events.event("fair", now).cards] == [catalogue_of_12[3].pk]
    assert told() == {changes.event(row.pk), changes.EVENTS}
    fields["ends_at_0"] = "2025-01-01"
    assert change(admin_client, row, **fields).status_code == 200
    gone = admin_client.post(reverse("admin:shop_event_delete", args=[row.pk]), {"post": "yes"})
    assert gone.status_code == 302
    assert not Event.objects.filter(slug="fair").exists()


def test_every_list_and_page_is_shown(admin_client: Client, catalogue_of_12: list[Product], now: Any) -> None:
    Order.objects.create(
        number="1",
        key="k",
        customer=User.objects.create(username="a"),
        total_cents=5,
        email="a@example.org",
        address={},
        placed_at=now,
        reserved_until=now,
    )
    for name in ("category", "product", "variant", "event", "announcement", "order"):
        listed = admin_client.get(reverse(f"admin:shop_{name}_changelist"))
        assert listed.status_code == 200
        row = listed.context["cl"].result_list[0]
        assert admin_client.get(reverse(f"admin:shop_{name}_change", args=[row.pk])).status_code == 200
    for name in ("product", "variant", "order", "category"):
        assert admin_client.get(reverse(f"admin:shop_{name}_add")).status_code == 403

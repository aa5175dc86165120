"""What operators change goes through the domain: it is limited, and told."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from shop import changes, events
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


def change(client: Client, row: Any, **fields: Any) -> Any:
    name = row._meta.model_name
    return client.post(reverse(f"admin:shop_{name}_change", args=[row.pk]), fields)


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
    assert change(admin_client, row, title="Another", description="Words.", was_cents="").status_code == 302
    row.refresh_from_db()
    assert (row.title, row.description, row.active) == ("Another", "Words.", False)
    assert changes.product(row.pk) in told()


def test_a_deal_that_is_none_is_refused(admin_client: Client, variant: Variant) -> None:
    row = variant.product
    fields = {"title": row.title, "description": row.description, "active": "on", "was_cents": row.price_cents}
    assert change(admin_client, row, **fields).status_code == 200
    fields["was_cents"] = row.price_cents + 1
    assert change(admin_client, row, **fields).status_code == 302
    assert told() == {changes.product(row.pk), changes.category(row.category_id), changes.DEALS}


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

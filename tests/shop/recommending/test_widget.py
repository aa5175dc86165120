"""The frame beside a product."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop import catalogue, changes, recommendations, together
from shop.models import Product, Sighting
from tests.shop.recommending.conftest import bought

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.org", "ann@example.org")


@pytest.fixture
def anns(ann: User, client: Client) -> Client:
    client.force_login(ann)
    return client


def path(product: Product) -> str:
    return f"/shop/recommended/{product.slug}/"


def test_pages_of_ours_may_frame_it_and_no_cache_keeps_it(catalogue_of_12: list[Product], client: Client) -> None:
    answer = client.get(path(catalogue_of_12[0]))
    assert answer.status_code == 200
    assert "frame-ancestors 'self'" in answer["Content-Security-Policy"]
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["Cache-Control"] == "private, no-store"
    assert '<base target="_top">' in answer.content.decode()  # a link leads the page away, not the frame
    around = client.get(f"/shop/p/{catalogue_of_12[0].slug}/")
    assert "frame-ancestors 'none'" in around["Content-Security-Policy"]
    assert "frame-src 'self'" in around["Content-Security-Policy"]
    assert f'src="{path(catalogue_of_12[0])}"' in around.content.decode()


def test_a_guest_sees_what_goes_with_it(catalogue_of_12: list[Product], client: Client) -> None:
    answer = client.get(path(catalogue_of_12[0]))
    shown = answer.content.decode()
    assert f"Popular in {catalogue_of_12[0].category.name}" in shown
    assert "Seen by you" not in shown
    assert not answer.cookies
    assert Sighting.objects.count() == 0


def test_for_a_guest_it_costs_no_query_once_it_was_made(catalogue_of_12: list[Product], client: Client) -> None:
    changes.look_now()  # this process hears of changes, as those that serve do
    client.get(path(catalogue_of_12[0]))
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path(catalogue_of_12[0])).status_code == 200
    assert len(queries) == 0


def test_a_changed_price_shows_at_once(
    catalogue_of_12: list[Product], ann: User, client: Client, now: datetime
) -> None:
    changes.look_now()
    bought(ann, *catalogue_of_12[:2], at=now)
    together.count(since=None, now=now)
    client.get(path(catalogue_of_12[0]))
    other = catalogue_of_12[1]
    for variant in other.variants.all():
        catalogue.set_price(variant_id=variant.pk, price_cents=123_456)
    changes.look_now()
    shown = client.get(path(catalogue_of_12[0])).content.decode()
    assert f"Bought together with {catalogue_of_12[0].title}" in shown
    assert "€1,234.56" in shown


def test_a_customer_sees_what_they_looked_at_before(catalogue_of_12: list[Product], anns: Client) -> None:
    first, second, *_ = catalogue_of_12
    assert "Seen by you" not in anns.get(path(first)).content.decode()
    shown = anns.get(path(second)).content.decode()
    assert "Seen by you" in shown
    assert first.slug in shown.partition("Seen by you")[2]
    assert Sighting.objects.count() == 2


def test_asking_for_the_head_alone_is_not_looking(catalogue_of_12: list[Product], anns: Client) -> None:
    assert anns.head(path(catalogue_of_12[0])).status_code == 200
    assert Sighting.objects.count() == 0


def test_it_is_shown_without_the_personal_part_when_that_cannot_be_read(
    catalogue_of_12: list[Product], anns: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**_: object) -> None:
        raise OperationalError(2002, "gone")

    monkeypatch.setattr(recommendations, "seen_by", gone)
    answer = anns.get(path(catalogue_of_12[0]))
    assert answer.status_code == 200
    assert f"Popular in {catalogue_of_12[0].category.name}" in answer.content.decode()


def test_what_is_not_sold_has_none(catalogue_of_12: list[Product], client: Client) -> None:
    assert client.get("/shop/recommended/nothing/").status_code == 404
    assert client.post(path(catalogue_of_12[0])).status_code == 405

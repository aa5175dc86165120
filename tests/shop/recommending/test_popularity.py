"""What sells stands further up, and a shelf is made anew only when something on it passed something else."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User

from shop import catalogue, changes, popularity, together, views
from shop.models import Change, Order, Product
from tests.shop.recommending.conftest import bought

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.org", "ann@example.org")


@pytest.fixture
def shelf(catalogue_of_12: list[Product]) -> list[Product]:
    """Three products of one shelf, with 30, 20 and 10; all others have more and stand elsewhere."""
    Product.objects.update(popularity=1_000, was_cents=None)
    three = list(Product.objects.filter(pk__in=[one.pk for one in catalogue_of_12[:3]]).order_by("pk"))
    for sold, one in zip((30, 20, 10), three, strict=True):
        Product.objects.filter(pk=one.pk).update(popularity=sold, category=three[0].category_id)
    Product.objects.exclude(pk__in=[one.pk for one in three]).update(category=other_shelf(three[0]))
    return three


def other_shelf(product: Product) -> int:
    return Product.objects.exclude(category=product.category_id).values_list("category", flat=True)[0]


def told() -> set[str]:
    tags = set(Change.objects.values_list("tag", flat=True))
    Change.objects.all().delete()
    return tags


def order_of(product: Product) -> list[int]:
    mark = next(one for one in catalogue.categories() if one.id == product.category_id)
    return [card.id for card in catalogue.shelf(category=mark).cards]


def sold(product: Product) -> tuple[int, int]:
    return Product.objects.values_list("popularity", "sold").get(pk=product.pk)


def test_pieces_sold_are_added_once_however_often_they_are_counted(
    shelf: list[Product], ann: User, now: datetime
) -> None:
    bought(ann, shelf[2], at=now, quantity=3)
    for since in (None, now, None):
        together.count(since=since, now=now)
        assert sold(shelf[2]) == (13, 3)
    assert sold(shelf[0]) == (30, 0)


def test_who_passes_nobody_has_no_page_made_anew(shelf: list[Product], ann: User, now: datetime) -> None:
    told()
    bought(ann, shelf[2], at=now, quantity=9)  # 19: still the last
    together.count(since=None, now=now)
    assert sold(shelf[2]) == (19, 9)
    assert told() == set()


@pytest.mark.parametrize(("pieces", "passes"), [(10, False), (11, True), (21, True)])
def test_who_passes_another_has_its_shelf_told_once(
    pieces: int, passes: bool, shelf: list[Product], ann: User, now: datetime
) -> None:
    told()
    before = order_of(shelf[0])
    bought(ann, shelf[2], at=now, quantity=pieces)
    for _ in range(3):
        together.count(since=now, now=now)
    assert list(Change.objects.values_list("tag", flat=True)) == (
        [changes.category(shelf[0].category_id)] if passes else []
    )
    assert (order_of(shelf[0]) != before) is passes


def test_what_was_cancelled_falls_back(shelf: list[Product], ann: User, now: datetime) -> None:
    order = bought(ann, shelf[2], at=now, quantity=11)
    together.count(since=None, now=now)
    told()
    Order.objects.filter(pk=order.pk).update(state=Order.State.CANCELLED)
    together.count(since=now, now=now)
    assert sold(shelf[2]) == (10, 0)
    assert changes.category(shelf[0].category_id) in told()


def test_what_is_sold_too_long_ago_no_longer_counts(shelf: list[Product], ann: User, now: datetime) -> None:
    bought(ann, shelf[2], at=now, quantity=3)
    together.count(since=None, now=now)
    together.count(since=None, now=now + together.WINDOW * 2)
    assert sold(shelf[2]) == (10, 0)


def test_the_home_page_and_the_deals_are_told_when_their_order_changes(
    shelf: list[Product], ann: User, now: datetime
) -> None:
    told()
    Product.objects.exclude(pk__in=[one.pk for one in shelf]).update(popularity=1)
    Product.objects.filter(pk__in=[shelf[1].pk, shelf[2].pk]).update(was_cents=10**6)
    bought(ann, shelf[2], at=now, quantity=11)
    together.count(since=now, now=now)
    assert told() == {changes.HOME, changes.DEALS, changes.category(shelf[0].category_id)}


def test_as_many_are_looked_at_as_the_home_page_shows() -> None:
    assert views.HOME_CARDS <= popularity.MOST_SHOWN

"""What stands beside a product, and what a customer has seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User

from shop import catalogue, changes, recommendations, together
from shop.models import Product, Sighting
from shop.wares import NotThere
from tests.shop.recommending.conftest import bought

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.org", "ann@example.org")


def seen(customer: User, *, without: int = 0) -> list[int]:
    return [card.id for card in recommendations.seen_by(customer=customer, without=without)]


def ids(product: Product) -> list[int]:
    return [card.id for card in recommendations.beside(product.slug).cards]


# --- beside a product -------------------------------------------------------------------------------------------------
def test_what_was_bought_most_often_with_it_comes_first(
    catalogue_of_12: list[Product], ann: User, now: datetime
) -> None:
    lamp, chair, table, *_ = catalogue_of_12
    bought(ann, lamp, chair, at=now)
    bought(ann, lamp, table, at=now)
    bought(ann, lamp, table, at=now)
    together.count(since=None, now=now)
    found = recommendations.beside(lamp.slug)
    assert (found.product_id, found.title, found.bought_together) == (lamp.pk, lamp.title, True)
    assert [card.id for card in found.cards] == [table.pk, chair.pk]
    assert found.cards[0] == catalogue.cards([table.pk])[table.pk]


def test_until_something_was_bought_with_it_the_most_popular_of_its_category_stand_there(
    catalogue_of_12: list[Product],
) -> None:
    lamp = catalogue_of_12[0]
    same = [one for one in catalogue_of_12 if one.category_id == lamp.category_id and one != lamp]
    found = recommendations.beside(lamp.slug)
    assert not found.bought_together
    assert [card.id for card in found.cards] == [one.pk for one in sorted(same, key=lambda one: -one.popularity)]


@pytest.mark.parametrize("watched", [False, True])
def test_what_is_withdrawn_is_not_recommended(
    catalogue_of_12: list[Product], ann: User, now: datetime, watched: bool
) -> None:
    """Where nobody looks for changes nothing is kept."""
    lamp, *others = catalogue_of_12
    if watched:
        changes.look_now()
    bought(ann, *catalogue_of_12[:9], at=now)
    together.count(since=None, now=now)
    assert ids(lamp) == [one.pk for one in others[: recommendations.SHOWN]]
    catalogue.withdraw(product_id=others[0].pk)
    if watched:
        changes.look_now()
    assert ids(lamp) == [one.pk for one in others[1 : recommendations.SHOWN + 1]]


def test_nothing_stands_beside_what_is_not_there(catalogue_of_12: list[Product]) -> None:
    catalogue.withdraw(product_id=catalogue_of_12[0].pk)
    for slug in ("nothing", catalogue_of_12[0].slug):
        with pytest.raises(NotThere):
            recommendations.beside(slug)


# --- seen by a customer -----------------------------------------------------------------------------------------------
def test_what_was_seen_last_comes_first_and_once(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    first, second, third, *_ = (one.pk for one in catalogue_of_12)
    for minutes, pk in enumerate((first, second, third, first)):
        recommendations.saw(customer=ann, product_id=pk, now=now + timedelta(minutes=20 * minutes))
    assert seen(ann) == [first, third, second]
    assert seen(ann, without=first) == [third, second]
    assert Sighting.objects.count() == 3


def test_a_page_that_is_reloaded_writes_nothing(
    catalogue_of_12: list[Product], ann: User, now: datetime, django_assert_num_queries: object
) -> None:
    pk = catalogue_of_12[0].pk
    recommendations.saw(customer=ann, product_id=pk, now=now)
    with django_assert_num_queries(1):  # type: ignore[operator]
        recommendations.saw(customer=ann, product_id=pk, now=now + recommendations.SEEN_AGAIN / 2)
    assert Sighting.objects.get().seen_at == now


def test_nobody_sees_what_another_has_seen(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    bob = User.objects.create_user("bob@example.org", "bob@example.org")
    recommendations.saw(customer=bob, product_id=catalogue_of_12[0].pk, now=now)
    assert (seen(ann), seen(bob)) == ([], [catalogue_of_12[0].pk])


def test_old_sightings_are_forgotten(
    catalogue_of_12: list[Product], ann: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "SEEN_KEPT", 3)
    for hours, product in enumerate(catalogue_of_12[:5]):
        recommendations.saw(customer=ann, product_id=product.pk, now=now + timedelta(hours=hours))
    assert recommendations.forget_old() == 2
    assert seen(ann) == [one.pk for one in reversed(catalogue_of_12[2:5])]
    assert recommendations.forget_old() == 0

"""Reading the catalogue, and changing it: every change is told, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest

from shop import catalogue, changes
from shop.models import Change, Event, Picture, Product, Variant
from tests.shop.conftest import small_shop

pytestmark = pytest.mark.django_db
Queries = Callable[[int], Any]


@pytest.fixture
def shirt(catalogue_of_12: list[Product]) -> Product:
    """A product that is no deal, with several variants in stock."""
    row = next(row for row in catalogue_of_12 if row.was_cents is None)
    row.variants.update(stock=20)
    Change.objects.all().delete()
    return row


def told() -> set[str]:
    return set(Change.objects.values_list("tag", flat=True))


def variant(row: Product) -> Variant:
    found = row.variants.first()
    assert found is not None
    return found


def test_shelves_are_whole_and_in_order(catalogue_of_12: list[Product]) -> None:
    seen = []
    for mark in catalogue.categories():
        shelf = catalogue.shelf(category=mark, sort="price")
        assert [card.price_cents for card in shelf.cards] == sorted(card.price_cents for card in shelf.cards)
        backwards = catalogue.shelf(category=mark, sort="price-down")
        assert [card.id for card in backwards.cards] == [card.id for card in reversed(shelf.cards)]
        assert mark.products == shelf.total == len(shelf.cards)
        seen += [card.id for card in shelf.cards]
    assert sorted(seen) == [row.pk for row in catalogue_of_12]


def test_pages_neither_repeat_nor_lose_a_product_of_the_same_price(db: None) -> None:
    small_shop(products=60, kinds=1)
    Product.objects.update(price_cents=1_000, was_cents=None)
    (mark,) = catalogue.categories()
    for sort in catalogue.SORTS:
        pages = [catalogue.shelf(category=mark, sort=sort, page=page) for page in (1, 2, 3)]
        assert [len(page.cards) for page in pages] == [24, 24, 12]
        assert len({card.id for page in pages for card in page.cards}) == 60
        assert {page.pages for page in pages} == {3}


@pytest.mark.parametrize("page", [0, -1, 2, 10**30])
def test_a_page_out_of_range_is_not_there(catalogue_of_12: list[Product], page: int) -> None:
    with pytest.raises(catalogue.NotThere, match="pages 1 to 1"):
        catalogue.shelf(category=catalogue.categories()[0], page=page)
    with pytest.raises(catalogue.NotThere, match="pages 1 to 1"):
        catalogue.deals(page=page)


def test_prices_limit_a_shelf(catalogue_of_12: list[Product]) -> None:
    mark = catalogue.categories()[0]
    prices = sorted(card.price_cents for card in catalogue.shelf(category=mark).cards)
    inner = catalogue.shelf(category=mark, low_cents=prices[1], high_cents=prices[-2])
    assert sorted(card.price_cents for card in inner.cards) == [p for p in prices if prices[1] <= p <= prices[-2]]
    assert catalogue.shelf(category=mark, low_cents=10**30).total == 0
    assert catalogue.shelf(category=mark, low_cents=-(10**30), high_cents=10**30).total == len(prices)


def test_what_is_not_there(catalogue_of_12: list[Product]) -> None:
    for ask in (lambda: catalogue.category("no"), lambda: catalogue.product("no" * 200)):
        with pytest.raises(catalogue.NotThere):
            ask()
    with pytest.raises(catalogue.NotThere, match="popular, price, price-down, new"):
        catalogue.shelf(category=catalogue.categories()[0], sort="'; DROP TABLE")


def test_a_product_s_facts(shirt: Product) -> None:
    shirt.variants.filter(pk=variant(shirt).pk).update(stock=5, reserved=3)
    facts = catalogue.product(shirt.slug)
    assert facts.card == catalogue.cards([shirt.pk])[shirt.pk]
    assert {choice.left for choice in facts.choices} == {2, catalogue.MOST_TOLD}
    assert [image.alt for image in facts.images] == list(shirt.pictures.values_list("alt", flat=True))
    assert facts.card.picture == facts.images[0].small
    assert dict(facts.attributes) == shirt.attributes
    assert json.loads(json.dumps(asdict(facts)))["card"]["title"] == shirt.title


def test_what_checkouts_hold_is_not_available(shirt: Product) -> None:
    shirt.variants.update(stock=4, reserved=4)
    assert not catalogue.cards([shirt.pk])[shirt.pk].available
    shirt.variants.filter(pk=variant(shirt).pk).update(stock=5)
    assert catalogue.cards([shirt.pk])[shirt.pk].available


def test_a_product_without_a_picture_has_a_card(shirt: Product) -> None:
    Picture.objects.filter(product=shirt).delete()
    card = catalogue.cards([shirt.pk])[shirt.pk]
    assert (card.picture, card.picture_large, card.alt) == ("", "", "")


def test_reading_costs_few_queries(catalogue_of_12: list[Product], django_assert_num_queries: Queries) -> None:
    mark, slug = catalogue.categories()[0], catalogue_of_12[0].slug
    with django_assert_num_queries(3):
        catalogue.shelf(category=mark, low_cents=1)
    with django_assert_num_queries(1):
        catalogue.cards([row.pk for row in catalogue_of_12])
    with django_assert_num_queries(4):
        catalogue.product(slug)
    with django_assert_num_queries(1):
        catalogue.categories()


def test_the_lowest_price_of_its_variants_is_the_product_s(shirt: Product) -> None:
    first, second = shirt.variants.all()[:2]
    catalogue.set_price(variant_id=second.pk, price_cents=500)
    shirt.refresh_from_db()
    assert shirt.price_cents == 500
    assert told() == {changes.product(shirt.pk), changes.category(shirt.category_id)}
    catalogue.set_price(variant_id=second.pk, price_cents=first.price_cents + 100_000)
    shirt.refresh_from_db()
    assert shirt.price_cents == min(shirt.variants.values_list("price_cents", flat=True)) > 500


def test_a_deal_begins_and_ends(shirt: Product) -> None:
    catalogue.set_deal(product_id=shirt.pk, was_cents=shirt.price_cents + 100)
    assert shirt.pk in {card.id for card in catalogue.deals().cards}
    assert changes.DEALS in told()
    Change.objects.all().delete()
    for one in shirt.variants.all():
        catalogue.set_price(variant_id=one.pk, price_cents=shirt.price_cents + 100)
    shirt.refresh_from_db()
    assert shirt.was_cents is None, "what costs as much as before is no deal"
    assert changes.DEALS in told()


@pytest.mark.parametrize("cents", [0, -1, catalogue.MOST_CENTS + 1])
def test_an_absurd_price_changes_nothing(shirt: Product, cents: int) -> None:
    with pytest.raises(catalogue.BadValue):
        catalogue.set_price(variant_id=variant(shirt).pk, price_cents=cents)
    assert variant(shirt).price_cents == shirt.variants.all()[0].price_cents > 0
    assert told() == set()


def test_a_deal_is_refused_that_is_none(shirt: Product) -> None:
    with pytest.raises(catalogue.BadValue):
        catalogue.set_deal(product_id=shirt.pk, was_cents=shirt.price_cents)
    assert told() == set()


def test_a_stock_is_never_less_than_what_is_held(shirt: Product) -> None:
    one = variant(shirt)
    Variant.objects.filter(pk=one.pk).update(stock=9, reserved=4)
    with pytest.raises(catalogue.BadValue, match="4 are held"):
        catalogue.set_stock(variant_id=one.pk, stock=3)
    assert told() == set()
    catalogue.set_stock(variant_id=one.pk, stock=4)
    one.refresh_from_db()
    assert (one.stock, one.reserved) == (4, 4)
    assert told() == {changes.product(shirt.pk)}, "no shelf's order follows from a stock"


def test_what_is_withdrawn_is_gone_everywhere_until_it_is_brought_back(shirt: Product, now: datetime) -> None:
    mark = catalogue.category(shirt.category.slug)
    catalogue.withdraw(product_id=shirt.pk)
    assert catalogue.category(mark.slug).products == mark.products - 1
    assert shirt.pk not in {card.id for card in catalogue.shelf(category=mark).cards}
    assert catalogue.cards([shirt.pk]) == {}
    with pytest.raises(catalogue.NotThere):
        catalogue.product(shirt.slug)
    assert told() == {changes.product(shirt.pk), changes.category(mark.id)}
    event = Event.objects.create(slug="a", title="A", text="A.", starts_at=now, ends_at=now + timedelta(days=1))
    event.products.add(shirt)
    catalogue.bring_back(product_id=shirt.pk)
    assert catalogue.product(shirt.slug).card.id == shirt.pk
    assert {changes.HOME, changes.event(event.pk)} <= told()  # made meanwhile, they bear no tag of it


def test_who_changes_what_is_not_there_is_told_so(catalogue_of_12: list[Product]) -> None:
    Change.objects.all().delete()
    for change in (
        lambda: catalogue.set_price(variant_id=10**9, price_cents=5),
        lambda: catalogue.set_stock(variant_id=10**9, stock=5),
        lambda: catalogue.withdraw(product_id=10**9),
        lambda: catalogue.describe(product_id=10**9, title="x", description=""),
    ):
        with pytest.raises(catalogue.NotThere):
            change()
    assert told() == set()
    assert catalogue.tags_of_product(10**9) == frozenset()

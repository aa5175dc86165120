"""What an address of a shelf asks for, the links to its other pages, and how prices and days are said."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from shop import facets, filters, turning
from shop.filters import BadFilter, Filters, NoSuchPage
from shop.search import Results
from shop.templatetags.days import day
from shop.templatetags.prices import amount, price, saved


@pytest.mark.parametrize(
    ("typed", "cents"), [("25", 2_500), ("0", 0), ("12.5", 1_250), ("12,50", 1_250), (" 7.05 ", 705), ("", None)]
)
def test_prices_are_read_as_people_type_them(typed: str, cents: int | None) -> None:
    assert filters.read({"low": typed}).low_cents == cents


@pytest.mark.parametrize("typed", ["-1", "1e9", "12.345", "abc", "1234567", "٣", "1 2", "NaN", "€5"])
@pytest.mark.parametrize(("field", "named"), [("low", "lowest"), ("high", "highest")])
def test_what_is_no_price_is_refused_with_what_to_enter(typed: str, field: str, named: str) -> None:
    with pytest.raises(BadFilter, match=f"{named} price as an amount"):
        filters.read({field: typed})


def test_ends_the_wrong_way_round_and_unknown_orders_are_refused() -> None:
    with pytest.raises(BadFilter, match="swap them"):
        filters.read({"low": "5", "high": "4.99"})
    assert filters.read({"low": "5", "high": "5"}) == Filters(low_cents=500, high_cents=500)
    with pytest.raises(BadFilter, match="popular, price, price-down, new"):
        filters.read({"sort": "id; DROP TABLE"})


@pytest.mark.parametrize("page", ["0", "-1", "x", "1.5", "01", "999999", "²"])
def test_absurd_pages_are_not_there(page: str) -> None:
    with pytest.raises(NoSuchPage):
        filters.read({"page": page})


def test_an_address_reads_back_as_what_it_was_written_from() -> None:
    asked = Filters(sort="price", low_cents=1_250, high_cents=9_900, page=3)
    address = asked.address(page=3, others={"q": "a&b ü", "category": ""})
    assert address == "?q=a%26b+%C3%BC&sort=price&low=12.50&high=99&page=3"
    assert filters.read({"sort": "price", "low": "12.50", "high": "99", "page": "3"}) == asked
    assert Filters().address(others={}) == ""


def test_the_first_the_last_and_the_pages_around_are_offered() -> None:
    turn = turning.turn(Filters(sort="new"), 5, 12)
    assert [step.number for step in turn.steps] == [1, 0, 4, 5, 6, 0, 12]
    assert [step.current for step in turn.steps].index(True) == 3
    assert (turn.steps[0].address, turn.before, turn.after) == ("?sort=new", "?sort=new&page=4", "?sort=new&page=6")
    ends = turning.turn(Filters(), 1, 2, q="x"), turning.turn(Filters(), 2, 2)
    assert [(turn.before, turn.after) for turn in ends] == [("", "?q=x&page=2"), ("?", "")]
    assert turning.turn(Filters(), 1, 1).after == ""


def test_facets_keep_the_other_filters_and_take_themselves_back() -> None:
    found = Results(
        categories=(("shoes", "Shoes", 3), ("lamps", "Lamps", 0), ("cups", "Cups", 2)),
        prices=(("up to 25", None, 2_500, 4), ("more", 2_501, None, 1)),
    )
    asked = Filters(high_cents=2_500, page=4)
    departments = facets.departments(asked, found, text="red", category="cups")
    assert [(one.label, one.address, one.current) for one in departments] == [
        ("Shoes", "?q=red&category=shoes&high=25", False),
        ("Cups", "?q=red&high=25", True),
    ]
    prices = facets.prices(asked, found, text="red", category="cups")
    assert [one.address for one in prices] == ["?q=red&category=cups", "?q=red&category=cups&low=25.01"]
    assert [one.label for one in facets.of_shelf(asked)][0::3] == ["up to €25.00", "€100.00 and more"]


def test_money_and_days_are_said_one_way(settings) -> None:  # type: ignore[no-untyped-def]
    assert [price(cents) for cents in (5, 1_990, 123_456_789, -250)] == ["€0.05", "€19.90", "€1,234,567.89", "-€2.50"]
    assert (amount(123_405), saved(3_000, 1_999)) == ("1234.05", 33)
    settings.SHOP_CURRENCY = "SEK"
    assert price(100_000) == "1,000.00 SEK"
    late = datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    said = '<time datetime="2026-12-01T01:30:00Z">1 December 2026</time>'
    assert day(late) == day(late.isoformat()) == said

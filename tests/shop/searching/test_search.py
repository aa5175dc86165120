"""What is found, in which order, and what it costs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from shop import search
from shop.catalogue import NotThere
from shop.models import Product
from shop.searching import indexing
from shop.searching.vocabulary import errors_between

pytestmark = pytest.mark.usefixtures("indexed")


def slugs(text: str, **filters: object) -> list[str]:
    return [card.slug for card in search.find(text=text, **filters).cards]  # type: ignore[arg-type]


def test_words_in_the_title_go_before_words_in_the_description_however_popular() -> None:
    assert slugs("running") == ["runner", "sandal"]


def test_of_equals_the_more_popular_one_goes_first() -> None:
    assert slugs("lamp otto") == ["lamp2", "lamp"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("falk", {"runner", "sandal"}),  # brand
        ("lighting", {"lamp", "lamp2"}),  # category
        ("porcelain", {"cup"}),  # attribute
        ("beach", {"sandal"}),  # description
        ("42 boots", {"boot"}),  # size
        ("a lamp for the desk", {"lamp"}),  # words that mean nothing
        ("SHOE run", {"runner", "sandal"}),  # other forms; the category says shoes of the sandals too
        ("cafe", {"cup"}),  # without its accent
    ],
)
def test_every_field_is_looked_in_and_forms_do_not_matter(text: str, found: set[str]) -> None:
    assert set(slugs(text)) == found
    assert search.find(text=text).corrected == ""


@pytest.mark.parametrize(
    ("text", "corrected", "found"),
    [
        ("lapm", "lamp", {"lamp", "lamp2"}),  # swapped
        ("snadals", "sandals", {"sandal"}),
        ("sandls", "sandals", {"sandal"}),  # left out
        ("poorcelain", "porcelain", {"cup"}),  # doubled
        ("wintre bootts", "winter boots", {"boot"}),
        ("ligthinng", "lighting", {"lamp", "lamp2"}),  # two errors in a long word
        ("desk lmap", "desk lamp", {"lamp"}),
    ],
)
def test_typing_errors_are_forgiven_and_said(text: str, corrected: str, found: set[str]) -> None:
    results = search.find(text=text)
    assert results.corrected == corrected
    assert {card.slug for card in results.cards} == found


def test_a_word_that_is_there_is_never_corrected() -> None:
    assert search.find(text="boots").corrected == ""
    assert search.find(text="xqzwv").cards == ()
    assert search.find(text="xqzwv").corrected == ""


def test_only_so_many_words_are_mended_for_that_is_what_costs() -> None:
    results = search.find(text="bootts sandls lapm poorcelain otto")
    assert results.corrected == "boots sandals lamp poorcelain otto"
    assert "cup" not in {card.slug for card in results.cards}
    assert search.find(text="sandls lapm poorcelain").corrected == "sandals lamp porcelain"


def test_the_last_word_may_be_incomplete() -> None:
    assert slugs("summer sand") == ["sandal"]
    assert search.find(text="summer sand").corrected == ""


def test_when_nothing_has_all_the_words_what_has_some_is_shown_and_that_is_said() -> None:
    results = search.find(text="winter lamp")
    assert results.partly
    assert {card.slug for card in results.cards} == {"boot", "lamp", "lamp2"}
    assert not search.find(text="winter boots").partly


@pytest.mark.parametrize("text", ["", "   ", "\x00", "!!!", "the of", "(((", "\U0001f600", "ß\u0301"])
def test_what_has_no_words_finds_nothing(text: str) -> None:
    assert search.find(text=text) == search.Results()


@pytest.mark.parametrize(
    "text", ['title:"lamp', "lamp AND (", "lamp~99", "lamp^1e999", "[lamp TO *]", "lamp\\", "+lamp -otto*", "/lamp.*/"]
)
def test_commands_of_engines_are_words_like_others(text: str) -> None:
    assert {"lamp", "lamp2"} <= set(slugs(text))


@pytest.mark.parametrize("text", ["lamp " * 2_000, "x" * 10_000, " ".join(f"w{n}" for n in range(13))])
def test_more_than_anybody_types_is_refused_with_the_bound(text: str) -> None:
    with pytest.raises(search.BadSearch, match=r"at most (200 characters|12 words)"):
        search.find(text=text)


def test_prices_and_a_category_narrow_it() -> None:
    assert slugs("leather", high_cents=3_990) == ["sandal"]
    assert slugs("leather", low_cents=3_991) == ["boot"]
    assert slugs("leather", low_cents=5_000, high_cents=4_000) == []
    assert slugs("bright", category="lighting") == ["lamp2", "lamp"]
    assert slugs("bright", category="shoes") == []


def test_facets_count_what_a_filter_in_place_of_theirs_would_find() -> None:
    results = search.find(text="lumen falk", category="lighting", high_cents=5_000)
    assert [card.slug for card in results.cards] == ["lamp"]
    assert results.categories == (("lighting", "Lighting", 1), ("shoes", "Shoes", 1))
    assert results.prices == (("€25.00 to €49.99", 2_500, 4_999, 1), ("€100.00 and more", 10_000, None, 1))


def test_each_facet_leads_to_as_many_as_it_says() -> None:
    results = search.find(text="leather steel mesh porcelain")
    assert sum(count for *_, count in results.categories) == results.total == 6
    for slug, _, count in results.categories:
        assert search.find(text="leather steel mesh porcelain", category=slug).total == count
    for _, low, high, count in results.prices:
        assert search.find(text="leather steel mesh porcelain", low_cents=low, high_cents=high).total == count


def test_pages_hold_each_product_once_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PAGE_SIZE", 2)
    pages = [search.find(text="42", page=page) for page in (1, 2, 3)]
    assert sorted(card.slug for page in pages for card in page.cards) == sorted(
        ["runner", "sandal", "boot", "lamp", "lamp2", "cup"]
    )
    assert {(page.total, page.pages) for page in pages} == {(6, 3)}
    for page in (4, 0, -1, 51, 10**12):
        with pytest.raises(NotThere):
            search.find(text="42", page=page)
    with pytest.raises(NotThere):
        search.find(text="xqzwv", page=2)


def test_a_card_is_what_the_catalogue_says(indexed: dict[str, Product]) -> None:
    from shop import catalogue

    (card,) = search.find(text="porcelain").cards
    assert card == catalogue.cards([indexed["cup"].pk])[card.id]
    assert search.find(text="porcelain").tags == {f"found:{card.id}", search.FOUND_DEPARTMENTS}


def test_searching_costs_the_database_nothing() -> None:
    with CaptureQueriesContext(connection) as seen:
        for text in ("running", "desk lmap", "lamp sandals", "nothing"):
            search.find(text=text, low_cents=1)
        search.suggest("run")
    assert len(seen) == 0
    with CaptureQueriesContext(connection) as seen:
        indexing.rebuild()
    assert len(seen) > 0  # the instrument sees what building asks


@pytest.mark.parametrize(
    ("prefix", "suggestions"),
    [
        ("la", ("lamp",)),
        ("desk l", ()),  # one letter says too little
        ("desk la", ("desk lamp",)),
        ("floor ot", ("floor otto",)),
        ("winter sa", ()),  # nothing is both
        ("snad", ("sandals",)),  # with a typing error
        ("sna", ()),  # too little to say what is wrong with it
        ("xand", ()),  # nobody errs in the first letter that often
        ("desk lapm", ("desk lamp",)),
        ("lamp ", ()),
        ("", ()),
        ("((", ()),
    ],
)
def test_suggestions_complete_the_last_word_by_what_there_is(prefix: str, suggestions: tuple[str, ...]) -> None:
    assert search.suggest(prefix) == suggestions


def test_the_word_of_more_products_is_suggested_first() -> None:
    assert search.suggest("le")[0] == "leather"
    assert search.suggest("li")[0] == "lighting"


def test_of_the_forms_of_a_word_one_is_suggested(indexed: dict[str, Product]) -> None:
    Product.objects.filter(slug="lamp").update(title="Lamps for Desks")
    indexing.refresh([indexed["lamp"].pk])
    assert search.find(text="lamps").total == 2
    assert len(search.suggest("lam")) == 1


@pytest.mark.parametrize(
    ("one", "other", "errors"),
    [("lamp", "lamp", 0), ("lamp", "lapm", 1), ("lamp", "lam", 1), ("lamp", "clamp", 1), ("lamp", "limp", 1),
     ("sandal", "snadla", 2), ("ab", "", 2), ("a", "abcd", 3), ("lamp", "desk", 4)],
)  # fmt: skip
def test_errors_between_two_words(one: str, other: str, errors: int) -> None:
    assert errors_between(one, other) == errors_between(other, one) == errors

"""The catalogue's pages over HTTP: what they show, the tags they bear, and what is refused."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop import catalogue, changes, structured, views
from shop.models import Announcement, Category, Event, Product
from shop.searching import index_folder, indexing

LINKED_DATA = re.compile(r'<script type="application/ld\+json">(.*?)</script>', re.DOTALL)


@pytest.fixture
def first(catalogue_of_12: list[Product]) -> Product:
    return catalogue_of_12[0]


@pytest.fixture
def indexed(catalogue_of_12: list[Product], settings, tmp_path: Path) -> list[Product]:  # type: ignore[no-untyped-def]
    settings.DATA_DIR = tmp_path
    index_folder.reader.forget()
    indexing.rebuild()
    return catalogue_of_12


def data_of(body: str) -> dict[str, dict[str, Any]]:
    """The page's structured data by type."""
    found = LINKED_DATA.search(body)
    assert found
    return {part["@type"]: part for part in json.loads(found.group(1))["@graph"]}


def test_every_page_is_there_without_a_cookie_and_names_its_place(client: Client, indexed: list[Product]) -> None:
    first = indexed[0]
    event, shelf = Event.objects.exclude(slug="").order_by("starts_at")[1], first.category
    for path in (
        "/shop/",
        f"/shop/c/{shelf.slug}/",
        f"/shop/p/{first.slug}/",
        "/shop/search/",
        "/shop/deals/",
        "/shop/events/",
        f"/shop/events/{event.slug}/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        body = answer.content.decode()
        assert body.count("<h1") == 1, path
        assert f'href="/shop/c/{shelf.slug}/"' in body, path
        assert not answer.cookies, path
        assert "csrfmiddlewaretoken" not in body, path
        assert Announcement.objects.all()[0].text in body, path


def test_a_shelf_is_sorted_and_narrowed(client: Client, first: Product) -> None:
    path = f"/shop/c/{first.category.slug}/"
    own = Product.objects.filter(category=first.category)
    cheapest = own.order_by("price_cents", "pk")[0]
    said = client.get(path, {"sort": "price"}).content.decode()
    shown = re.findall(r'<a class="product[^"]*" href="/shop/p/([^/]+)/"', said)
    assert shown == list(own.order_by("price_cents", "pk").values_list("slug", flat=True))
    end = f"{cheapest.price_cents / 100:.2f}"
    said = client.get(path, {"high": end, "low": end}).content.decode()
    assert re.findall(r'<a class="product[^"]*" href="/shop/p/([^/]+)/"', said) == [cheapest.slug]
    assert "Nothing costs that" in client.get(path, {"high": "0.01"}).content.decode()


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"low": "-3"}, 422, "lowest price as an amount"),
        ({"low": "9", "high": "1"}, 422, "swap them"),
        ({"sort": "cheap"}, 422, "no such order"),
        ({"page": "99"}, 404, "pages 1 to 1"),
        ({"page": "-1"}, 404, "numbered from 1"),
    ],
)
def test_a_bad_filter_is_told_what_to_fix(
    client: Client, first: Product, query: dict[str, str], status: int, says: str
) -> None:
    answer = client.get(f"/shop/c/{first.category.slug}/", query)
    assert answer.status_code == status
    assert says in answer.content.decode()


def test_a_product_is_offered_with_all_that_can_be_bought(client: Client, first: Product) -> None:
    body = client.get(f"/shop/p/{first.slug}/").content.decode()
    facts = catalogue.product(first.slug)
    for choice in facts.choices:
        radio = re.search(rf'<input type="radio" name="variant" value="{choice.id}"[^>]*>', body)
        assert radio, choice
        assert ("disabled" in radio.group()) is (choice.left == 0)
    assert body.count(" checked") == 1
    assert 'action="/shop/cart/add/"' in body
    assert f'src="/shop/recommended/{first.slug}/"' in body
    said = data_of(body)
    assert [step["name"] for step in said["BreadcrumbList"]["itemListElement"]] == [
        "Shop",
        first.category.name,
        first.title,
    ]
    assert [offer["sku"] for offer in said["Product"]["offers"]] == [choice.sku for choice in facts.choices]
    assert said["Product"]["offers"][0]["priceCurrency"] == "EUR"


def test_what_is_sold_out_cannot_be_put_into_a_cart(client: Client, first: Product) -> None:
    for variant in first.variants.all():
        catalogue.set_stock(variant_id=variant.pk, stock=0)
    body = client.get(f"/shop/p/{first.slug}/").content.decode()
    assert "Sold out." in body
    assert 'name="variant"' not in body
    offers = data_of(body)["Product"]["offers"]
    assert {offer["availability"] for offer in offers} == {"https://schema.org/OutOfStock"}


def test_a_product_s_words_are_never_taken_for_a_page(client: Client, first: Product) -> None:
    evil = '</script><script>alert("1")</script>&\u2028<!--'
    Product.objects.filter(pk=first.pk).update(title=evil, description=evil)
    body = client.get(f"/shop/p/{first.slug}/").content.decode()
    assert "<script>alert" not in body
    assert data_of(body)["Product"]["name"] == evil  # and it is still read as what it is
    assert structured.document({"x": "</script>"}).count("<") == 0


def test_each_page_bears_the_tags_of_what_it_shows(first: Product) -> None:
    shelf: Category = first.category

    def tags(view: Any, **named: str) -> frozenset[str]:
        found: frozenset[str] = inspect.unwrap(view)(query={}, **named).tags
        return found

    assert tags(views.product, product=first.slug) == {
        f"product:{first.pk}",
        changes.ANNOUNCEMENTS,
        changes.DEPARTMENTS,  # the menu, and where the product stands
    }
    on_shelf = {f"product:{pk}" for pk in shelf.products.values_list("pk", flat=True)}
    assert tags(views.category, category=shelf.slug) >= {f"category:{shelf.pk}", *on_shelf}
    assert tags(views.home) >= {changes.HOME, changes.EVENTS, changes.DEALS}
    event = Event.objects.order_by("starts_at")[1]
    assert f"event:{event.pk}" in tags(views.event, event=event.slug)


@pytest.mark.parametrize("path", ["c/none", "p/none", "events/none"])
def test_what_is_not_there_is_not_found(client: Client, first: Product, path: str) -> None:
    assert client.get(f"/shop/{path}/").status_code == 404


def test_a_search_shows_what_it_found_and_what_it_looked_for_instead(client: Client, indexed: list[Product]) -> None:
    row = indexed[0]
    brand = row.brand.split()[0]
    with CaptureQueriesContext(connection) as queries:
        body = client.get("/shop/search/", {"q": f"{brand[:-1]}x" if len(brand) > 5 else brand}).content.decode()
    assert f'href="/shop/p/{row.slug}/"' in body
    assert "Departments" in body
    assert len(queries) == 2  # the menu and the announcements; the search itself costs none
    assert "<h1>Search</h1>" in client.get("/shop/search/").content.decode()


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"q": "x" * 10_000}, 400, "at most"),
        ({"q": "lamp", "low": "x"}, 422, "lowest price"),
        ({"q": "lamp", "page": "77777"}, 404, "page"),
        ({"q": "lamp", "category": "nope"}, 404, "no such department"),
        ({"q": "la\0mp\x1b\u202e \r\nx"}, 200, "la mp x"),
        ({"q": '<script>alert(1)</script> AND title:"* ~9 ^'}, 200, "&lt;script&gt;"),
    ],
)
def test_searches_that_nobody_means(
    client: Client, indexed: list[Product], query: dict[str, str], status: int, says: str
) -> None:
    answer = client.get("/shop/search/", query)
    assert answer.status_code == status
    body = answer.content.decode()
    assert says in body
    assert "x" * 200 not in body
    assert "<script>alert" not in body
    assert not re.search("[\0\x1b\u202e]", body)


def test_pictures_that_are_not_seen_at_once_are_loaded_late(client: Client, first: Product) -> None:
    shelf = client.get(f"/shop/c/{first.category.slug}/").content.decode()
    late = ['loading="lazy"' in picture for picture in re.findall(r'<img [^>]*width="320"[^>]*>', shelf)]
    assert late == [False] * 4 + [True] * (first.category.products.count() - 4)
    slides = re.findall(r'<img [^>]*width="960"[^>]*>', client.get(f"/shop/p/{first.slug}/").content.decode())
    assert ['loading="lazy"' in picture for picture in slides] == [False, True, True]


def test_an_error_in_the_shop_speaks_of_the_shop(client: Client, db: None) -> None:
    shop, sale = (client.get(path).content.decode() for path in ("/shop/p/none/", "/none/"))
    assert "the departments" in shop
    assert 'href="/shop/"' in shop
    assert "Links from a mail" not in shop
    assert "Links from a mail" in sale

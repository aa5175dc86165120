"""The search over HTTP: the same answer for everybody, and clear words for what cannot be looked for."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from shop import page_cache
from shop.models import Product
from shop.searching import index_folder


@pytest.fixture(autouse=True)
def _no_kept_pages() -> None:
    page_cache.forget()


def test_a_search_is_answered_with_products_facets_and_the_correction(
    client: Client, indexed: dict[str, Product]
) -> None:
    answer = client.get("/api/search", {"q": "desk lmap"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["corrected"], body["total"], body["page"], body["pages"]) == ("desk lamp", 1, 1, 1)
    assert [product["url"] for product in body["products"]] == ["/shop/p/lamp/"]
    assert body["products"][0]["price_cents"] == 4_990
    assert body["categories"] == [{"slug": "lighting", "name": "Lighting", "count": 1}]
    assert not answer.cookies
    assert "Cookie" not in answer.headers.get("Vary", "")


def test_filters_are_in_units_of_the_currency(client: Client, indexed: dict[str, Product]) -> None:
    found = client.get("/api/search", {"q": "leather", "high": "39.90"}).json()
    assert [product["slug"] for product in found["products"]] == ["sandal"]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"q": "x" * 10_000}, 400, "at most 200 characters"),
        ({"q": " ".join(f"w{n}" for n in range(20))}, 400, "at most 12 words"),
        ({"q": "lamp", "low": "-1"}, 422, "lowest price"),
        ({"q": "lamp", "low": "1e9"}, 422, "lowest price"),
        ({"q": "lamp", "low": "9", "high": "8"}, 422, "swap"),
        ({"q": "lamp", "page": "2"}, 404, "pages 1 to 1"),
        ({"q": "lamp", "page": "0"}, 404, "page"),
        ({"q": "lamp", "page": "99999"}, 404, "page"),
        ({"q": "lamp", "page": "x"}, 404, "page"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_in_words(
    client: Client, indexed: dict[str, Product], query: dict[str, str], status: int, says: str
) -> None:
    answer = client.get("/api/search", query)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_suggestions(client: Client, indexed: dict[str, Product]) -> None:
    assert client.get("/api/suggest", {"q": "desk la"}).json() == {"suggestions": ["desk lamp"]}
    assert client.get("/api/suggest", {"q": ""}).json() == {"suggestions": []}
    assert client.get("/api/suggest", {"q": "y" * 201}).status_code == 400


def test_neither_asks_the_database(client: Client, indexed: dict[str, Product]) -> None:
    with CaptureQueriesContext(connection) as seen:
        assert client.get("/api/search", {"q": "lamp"}).status_code == 200
        assert client.get("/api/suggest", {"q": "la"}).status_code == 200
    assert len(seen) == 0


def test_a_machine_without_an_index_says_that_it_is_being_made(client: Client, shop: dict[str, Product]) -> None:
    with pytest.raises(index_folder.NotReady):
        index_folder.reader.searcher()
    for address in ("/api/search", "/api/suggest"):
        answer = client.get(address, {"q": "lamp"})
        assert answer.status_code == 503
        assert "being made ready" in answer.json()["detail"]

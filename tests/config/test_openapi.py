"""The document is put together from the applications' parts; whether it is true is asked in tests/process."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from config import openapi
from shop import openapi as of_the_shop


def test_the_document_has_all_parts_and_needs_no_database(client: Client) -> None:
    answer = client.get("/api/openapi.json")
    assert answer["Cache-Control"] == "public, max-age=300, stale-while-revalidate=300"
    assert {"/signup/", "/api/board", "/api/cart", "/api/search"} <= answer.json()["paths"].keys()


def test_every_address_of_the_api_is_described() -> None:
    described = {re.sub(r"{\w+}", "…", path) for path in openapi.document()["paths"]}
    served = {re.sub(r"<(\w+:)?\w+>", "…", f"/{route}") for route in _routes() if route.startswith("api/")}
    assert served - {"/api/openapi.json"} <= described
    assert "/api/cart" in served  # or nothing was compared


def _routes() -> list[str]:
    return [str(key) for part in get_resolver().url_patterns for key in _patterns(part)]


def _patterns(part: Any) -> list[str]:
    return [str(one.pattern) for one in getattr(part, "url_patterns", [part])]


def test_each_schema_that_is_named_is_there_and_each_that_is_there_is_named() -> None:
    document = openapi.document()
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named == document["components"]["schemas"].keys()


@pytest.mark.parametrize("part", ["PATHS", "SCHEMAS"])
def test_two_applications_cannot_describe_the_same(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_the_shop, part, {**getattr(of_the_shop, part), "/api/board": {}, "Board": {}})
    with pytest.raises(openapi.DescribedTwice, match=r"shop\.openapi describes again: (/api/board|Board)"):
        openapi.document.__wrapped__()

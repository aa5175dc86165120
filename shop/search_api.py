"""The search as JSON: the same for everybody, kept as pages are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import Http404
from django.urls import reverse

from config.requests import problem
from shop import filters
from shop import search as index
from shop.catalogue import Card, NotThere
from shop.page_cache import Page, kept
from shop.search import BadSearch, NotReady, Results

Query = Mapping[str, str]

_AT_WORK = "The search is being made ready. Please try again in a minute."


@kept("search_api")
def search(*, query: Query) -> Page:
    """One page of what bears the words `q`."""
    try:
        asked = filters.read({**query, "sort": ""})
        found = index.find(
            text=query.get("q", ""),
            category=query.get("category", ""),
            low_cents=asked.low_cents,
            high_cents=asked.high_cents,
            page=asked.page,
        )
    except filters.BadFilter as error:
        return _problem(422, str(error))
    except BadSearch as error:
        return _problem(400, str(error))
    except NotReady:
        return _problem(503, _AT_WORK)
    except (NotThere, filters.NoSuchPage) as error:
        raise Http404(str(error)) from None
    return _json(_results(found), tags=found.tags)


@kept("suggest_api")
def suggest(*, query: Query) -> Page:
    """Ways to go on from what was typed into the search field so far, `q`."""
    try:
        return _json({"suggestions": index.suggest(query.get("q", ""))})
    except BadSearch as error:
        return _problem(400, str(error))
    except NotReady:
        return _problem(503, _AT_WORK)


def _results(found: Results) -> dict[str, Any]:
    return {
        "corrected": found.corrected,
        "partly": found.partly,
        "total": found.total,
        "page": found.page,
        "pages": found.pages,
        "currency": settings.SHOP_CURRENCY,
        "products": [_product(card) for card in found.cards],
        "categories": [{"slug": slug, "name": name, "count": count} for slug, name, count in found.categories],
        "prices": [
            {"label": label, "low_cents": low, "high_cents": high, "count": count}
            for label, low, high, count in found.prices
        ],
    }


def _product(card: Card) -> dict[str, Any]:
    return {**asdict(card), "url": reverse("shop:product", args=[card.slug])}


def _json(body: dict[str, Any], *, tags: frozenset[str] = frozenset()) -> Page:
    return Page(body=json.dumps(body, ensure_ascii=False), tags=tags, content_type="application/json")


def _problem(status: int, detail: str) -> Page:
    told = problem(status, detail)
    return Page(body=told.content.decode(), tags=frozenset(), status=status, content_type=told.headers["Content-Type"])

"""Finding products by words: relevance, typing errors forgiven, facets, suggestions.

All of it is answered by this machine's index (`searching`), which `indexing` keeps true: searching costs the
database nothing. See docs/decisions/0025.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tantivy import FieldType, Occur, Query, Searcher

from shop.catalogue import PAGE_SIZE, Card, NotThere
from shop.searching import vocabulary
from shop.searching.index_faults import guarded
from shop.searching.index_folder import MOST_CATEGORIES, SCHEMA, WORTH, NotReady, card_of, facet_of, reader
from shop.searching.vocabulary import BadSearch, Word
from shop.templatetags.prices import price

__all__ = ["BadSearch", "NotReady", "Results", "find", "found_tag", "suggest"]

MOST_PAGES = 50  # nobody reads further, and each page costs what those before it cost
MOST_SUGGESTIONS = 8
_ALSO = 0.2  # what standing in a second field counts of what it would alone
_ENDS = (0, 2_500, 5_000, 10_000)  # where the ranges of prices begin, in cents

Range = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Results:
    """One page of what was found; pages count from 1. `categories`: slug, name, products; `prices`: label, low, high
    (cents, both included; None: no bound), products. Both count what would be found with that filter in place of the
    one that is set. `corrected`: what was looked for instead, "" when it was the text itself. `partly`: nothing has all
    the words, so these have some. `tags`: what a page that shows these results must bear."""

    cards: tuple[Card, ...] = ()
    total: int = 0
    page: int = 1
    pages: int = 1
    categories: tuple[tuple[str, str, int], ...] = ()
    prices: tuple[tuple[str, int | None, int | None, int], ...] = ()
    corrected: str = ""
    partly: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search that was understood. Each part narrows it; the facets leave one out."""

    words: Query
    category: list[Query] = field(default_factory=list)
    price: list[Query] = field(default_factory=list)

    def query(self, *, category: bool = True, price: bool = True) -> Query:
        filters = (self.category if category else []) + (self.price if price else [])
        return _all_of([self.words, *(Query.const_score_query(one, 0.0) for one in filters)])


def found_tag(pk: int) -> str:
    """What a page that shows search results bears: told in each process once the index there shows the product as it
    is. The product's own tag is told before that, and a page made anew then would be old again at once."""
    return f"found:{pk}"


# Likewise, once the index there shows the departments' names as they are.
FOUND_DEPARTMENTS = "found:departments"


def find(
    *, text: str, category: str = "", low_cents: int | None = None, high_cents: int | None = None, page: int = 1
) -> Results:
    """The products that bear these words, best first. An empty text finds nothing. Raises `BadSearch` (too long, too
    many words: 400), `catalogue.NotThere` (no such page: 404) and `NotReady` (503)."""
    return _find(vocabulary.typed(text), category, low_cents, high_cents, page)


@guarded()
def _find(typed: list[str], category: str, low_cents: int | None, high_cents: int | None, page: int) -> Results:
    searcher = reader.searcher()
    words = vocabulary.understood(searcher, typed)
    asked, partly = _asked(searcher, words, category, low_cents, high_cents)
    if asked is None:
        return _nothing(page)
    found = searcher.search(asked.query(), PAGE_SIZE, offset=_offset(page), weight_by_field="weight")
    total = int(found.count or 0)  # type: ignore[attr-defined]  # its stub lacks it
    pages = max(1, min(-(-total // PAGE_SIZE), MOST_PAGES))
    if page > pages:
        raise NotThere(f"There is no such page; there are pages 1 to {pages}.")
    cards = tuple(card_of(searcher.doc(address)) for _, address in found.hits)
    categories, prices = _facets(searcher, asked)
    return Results(
        cards=cards,
        total=total,
        page=page,
        pages=pages,
        categories=categories,
        prices=prices,
        corrected=_corrected(words),
        partly=partly,
        tags=frozenset({FOUND_DEPARTMENTS, *(found_tag(card.id) for card in cards)}),
    )


def suggest(prefix: str) -> tuple[str, ...]:
    """Up to eight ways to go on from what was typed so far, best first: each is what was typed with its last word
    completed, such as is found in one product together. Raises `BadSearch` and `NotReady`."""
    words = vocabulary.typed(prefix)
    return _suggest(words) if words and prefix[-1:].isalnum() else ()


@guarded()
def _suggest(words: list[str]) -> tuple[str, ...]:
    searcher = reader.searcher()
    *before, last = words
    meant = [word for word in vocabulary.understood(searcher, [*before, ""]) if word.stems]
    among = _all_of([_word(word) for word in meant]) if meant else None
    endings = vocabulary.completed(searcher, last, among=among)
    if not endings and (mended := vocabulary.mended(searcher, last, beginning=True)):
        endings = (mended,)
    said = [word.said for word in meant]
    return tuple(dict.fromkeys(" ".join([*said, ending]) for ending in endings))[:MOST_SUGGESTIONS]


# --- what is looked for -----------------------------------------------------------------------------------------------
def _asked(
    searcher: Searcher, words: Sequence[Word], category: str, low: int | None, high: int | None
) -> tuple[_Asked | None, bool]:
    """The search, and whether it is for some of the words only. None: no product bears any of them."""
    known = [word for word in words if word.stems]
    if not known:
        return None, False
    filters = [Query.term_query(SCHEMA, "shelf", category)] if category else []
    prices = [_within(low, high)] if low is not None or high is not None else []
    whole = _Asked(_all_of([_word(word) for word in known]), filters, prices)
    if len(known) == len(words) and (len(words) == 1 or _any(searcher, whole.words)):
        return whole, False
    return _Asked(_some_of([_word(word) for word in known]), filters, prices), True


def _any(searcher: Searcher, query: Query) -> bool:
    return bool(searcher.search(query, 1, count=False).hits)


def _word(word: Word) -> Query:
    """Best where it is worth most; a little more where it stands in several fields."""
    places = [
        Query.boost_query(Query.term_query(SCHEMA, name, stem, index_option="freq"), worth)
        for stem in word.stems
        for name, worth in WORTH.items()
    ]
    return Query.disjunction_max_query(places, tie_breaker=_ALSO)


def _all_of(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def _some_of(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _within(low: int | None, high: int | None) -> Query:
    """Both ends included."""
    if low is not None and high is not None and low > high:
        return Query.empty_query()
    return Query.range_query(SCHEMA, "price", FieldType.Unsigned, low, high)


def _offset(page: int) -> int:
    """Raises `NotThere`."""
    if not 1 <= page <= MOST_PAGES:
        raise NotThere(f"There is no such page; there are pages 1 to {MOST_PAGES} at most.")
    return (page - 1) * PAGE_SIZE


def _nothing(page: int) -> Results:
    if page != 1:
        raise NotThere("There is no such page; nothing was found.")
    return Results()


def _corrected(words: Sequence[Word]) -> str:
    if not any(word.mended for word in words):
        return ""
    return " ".join(word.said for word in words)


# --- facets -----------------------------------------------------------------------------------------------------------
_BY_CATEGORY = {"terms": {"field": "facet", "size": MOST_CATEGORIES}}
_RANGES: tuple[Range, ...] = tuple(
    (low, _ENDS[n + 1] - 1 if n + 1 < len(_ENDS) else None) for n, low in enumerate(_ENDS)
)
_BY_PRICE = {
    "range": {
        "field": "price",
        # The aggregation's own ends: `to` is not included.
        "ranges": [{"from": low} if high is None else {"from": low, "to": high + 1} for low, high in _RANGES],
    }
}


def _facets(searcher: Searcher, asked: _Asked) -> tuple[Any, Any]:
    if not asked.category and not asked.price:  # one walk through what was found is enough
        counted = searcher.aggregate(asked.query(), {"category": _BY_CATEGORY, "price": _BY_PRICE})
    else:
        counted = {
            **searcher.aggregate(asked.query(category=False), {"category": _BY_CATEGORY}),
            **searcher.aggregate(asked.query(price=False), {"price": _BY_PRICE}),
        }
    return _categories(counted["category"]["buckets"]), _prices(counted["price"]["buckets"])


def _categories(buckets: list[dict[str, Any]]) -> tuple[tuple[str, str, int], ...]:
    """Most products first, then by name."""
    found = [(*facet_of(bucket["key"]), int(bucket["doc_count"])) for bucket in buckets]
    return tuple(sorted(found, key=lambda one: (-one[2], one[1])))


def _prices(buckets: list[dict[str, Any]]) -> tuple[tuple[str, int | None, int | None, int], ...]:
    """The ranges in which something was found, cheapest first."""
    counts = {int(bucket.get("from", 0)): int(bucket["doc_count"]) for bucket in buckets}
    return tuple((_label(low, high), low or None, high, counts[low]) for low, high in _RANGES if counts.get(low))


def _label(low: int, high: int | None) -> str:
    if high is None:
        return f"{price(low)} and more"
    return f"{price(low)} to {price(high)}" if low else f"up to {price(high)}"

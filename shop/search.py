"""Finding products by words: relevance, typing errors forgiven, facets, suggestions. Costs the database nothing."""

from __future__ import annotations

from dataclasses import dataclass

from shop.catalogue import Card


class NotReady(RuntimeError):
    """This machine has no index yet; it is being made."""


class BadSearch(ValueError):
    """What is asked for cannot be looked for; the message says why, in words for the visitor."""


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


def find(
    *, text: str, category: str = "", low_cents: int | None = None, high_cents: int | None = None, page: int = 1
) -> Results:
    """The products that bear these words, best first. An empty text finds nothing. Raises `BadSearch` (too long, too
    many words: 400), `catalogue.NotThere` (no such page: 404) and `NotReady` (503)."""
    raise NotReady


def suggest(prefix: str) -> tuple[str, ...]:
    """Up to eight ways to go on from what was typed so far, best first. Raises as `find`."""
    raise NotReady

"""Keeping the search index true: built from the catalogue's rows, then changed as they are.

Each web process hears of changes (`changes.listen`) and looks, in a thread of its own, whether the index shows those
products as the rows say; whoever comes first writes, the others find it done. So nobody leads, and nothing is lost
when one dies.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from shop import catalogue, changes, models
from shop.search import FOUND_DEPARTMENTS, found_tag
from shop.searching import index_folder
from shop.searching.index_folder import Entry

_AT_ONCE = 1_000  # products read by one set of queries
_SOLD_OUT = 0.7  # what the relevance of a product is multiplied by that cannot be bought now
# How long before the index's moment changes are looked at again: transactions that were late, clocks that differ.
OVERLAP = timedelta(seconds=2 * changes.OVERLAP_SECONDS)


@dataclass(frozen=True, slots=True)
class Built:
    products: int
    seconds: float


# --- from rows to entries ---------------------------------------------------------------------------------------------
def entries(ids: Iterable[int]) -> dict[int, Entry]:
    """By id, those that are still sold. Three queries."""
    cards = catalogue.cards(ids)
    rows = models.Product.objects.filter(pk__in=list(cards)).select_related("category")
    choices = _choices(cards)
    return {row.pk: _entry(cards[row.pk], row, choices[row.pk]) for row in rows}


def _choices(ids: Iterable[int]) -> dict[int, list[str]]:
    """Colours and sizes by product, each once."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    rows = models.Variant.objects.filter(product_id__in=list(ids), active=True).order_by("pk")
    for product_id, colour, size in rows.values_list("product_id", "colour", "size"):
        found[product_id] |= {colour: None, size: None}
    return defaultdict(list, {pk: list(values) for pk, values in found.items()})


def _entry(card: catalogue.Card, row: models.Product, choices: list[str]) -> Entry:
    attributes = [str(value) for value in row.attributes.values()]
    return Entry(
        card=card,
        category_name=row.category.name,
        texts={
            "title": card.title,
            "brand": card.brand,
            "category": row.category.name,
            "attributes": " ".join([*attributes, *choices]),
            "description": row.description,
        },
        weight=_weight(row.popularity, available=card.available),
    )


def _weight(popularity: int, *, available: bool) -> float:
    """1 for what nobody bought, 1.6 for what ten thousand did: relevance goes first."""
    return round((1 + 0.15 * math.log10(1 + popularity)) * (1 if available else _SOLD_OUT), 3)


# --- the whole --------------------------------------------------------------------------------------------------------
def rebuild() -> Built:
    """Build the index anew; until that is done the old one is searched."""
    with index_folder.alone():
        return _rebuild()


def ensure() -> Built | None:
    """Build the index if there is none, or none that changes could still be added to; None when it was there."""
    with index_folder.alone():
        return None if _is_there() else _rebuild()


def _is_there() -> bool:
    """Whether it is whole, and every change since is still told."""
    moment = index_folder.as_of()
    if moment is None or timezone.now() - moment > timedelta(seconds=changes.KEPT_SECONDS) - OVERLAP:
        return False
    return index_folder.is_sound()


def _rebuild() -> Built:
    begun, moment, number = time.monotonic(), timezone.now(), 0
    with index_folder.building(as_of=moment) as writer:
        for some in _all_entries():
            for entry in some:
                index_folder.add(writer, entry)
            number += len(some)
    return Built(number, time.monotonic() - begun)


def _all_entries() -> Iterator[list[Entry]]:
    last = 0
    active = models.Product.objects.filter(active=True).order_by("pk").values_list("pk", flat=True)
    while ids := list(active.filter(pk__gt=last)[:_AT_ONCE]):
        yield list(entries(ids).values())
        last = ids[-1]


# --- what changed -----------------------------------------------------------------------------------------------------
def refresh(ids: Iterable[int]) -> int:
    """Make the index show these products as their rows say: how many it showed otherwise. Raises `NotReady`."""
    wanted, changed = sorted(set(ids)), 0
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        with index_folder.alone():  # read within it: what was read before may be older than what another wrote
            found = entries(some)
            changed += index_folder.take_in(found, set(some) - set(found))
    return changed


def take_in(tags: frozenset[str], *, as_of: datetime | None) -> frozenset[str]:
    """Look at what these tags name: what a page must be told that shows search results. `as_of`: all that was told
    until then is among the tags now or was before; None when that is not known. Raises `NotReady`."""
    ids = _products(tags)
    due = ids & _products(_told_since(index_folder.as_of()))
    refresh(due | _renamed(tags))
    if as_of is not None:
        index_folder.set_as_of(as_of)
    departments = {FOUND_DEPARTMENTS} if changes.DEPARTMENTS in tags else set()
    return frozenset(departments | {found_tag(pk) for pk in ids})


def _products(tags: Iterable[str]) -> set[int]:
    return {int(tag.removeprefix("product:")) for tag in tags if tag.startswith("product:")}


def _told_since(moment: datetime | None) -> list[str]:
    """A process that begins is told all of the last hour; most of that is in the index since long."""
    since = models.Change.objects.all() if moment is None else models.Change.objects.filter(at__gte=moment - OVERLAP)
    return list(since.filter(tag__startswith="product:").values_list("tag", flat=True).distinct())


def _renamed(tags: Iterable[str]) -> set[int]:
    """The products of these categories, if the index names a category as none is named. Categories are told for other
    reasons as well, and far more often."""
    told = {int(tag.removeprefix("category:")) for tag in tags if tag.startswith("category:")}
    if not told:
        return set()
    if index_folder.categories() <= set(models.Category.objects.values_list("slug", "name")):
        return set()
    return set(models.Product.objects.filter(category__in=told, active=True).values_list("pk", flat=True))


def check(*, after: int) -> tuple[int, int]:
    """Make the index show the next thousand products as their rows say, whoever told of them or not: how many it showed
    otherwise, and the last one looked at (0: the next round begins at the first). Raises `NotReady`."""
    rows = models.Product.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    some = list(rows[:_AT_ONCE])
    return refresh(some), some[-1] if len(some) == _AT_ONCE else 0


def strays() -> set[int]:
    """Products that the index lacks, and those that it should not have: for who added many told nobody of each. One
    query when there are none. Raises `NotReady`."""
    active = models.Product.objects.filter(active=True)
    if active.count() == index_folder.size():
        return set()
    return set(active.values_list("pk", flat=True)) ^ index_folder.ids()

"""What one may narrow a shelf or a search to, as links: ranges of prices, departments."""

from dataclasses import dataclass, replace

from shop.filters import Filters
from shop.search import Results
from shop.templatetags.prices import price

PRICES = ((None, 2_500), (2_500, 5_000), (5_000, 10_000), (10_000, None))  # cents, both ends included


@dataclass(frozen=True, slots=True)
class Facet:
    """`count`: the products behind it, None when nobody counted. The current one's address takes it back."""

    label: str
    address: str
    current: bool
    count: int | None = None


def of_shelf(asked: Filters) -> tuple[Facet, ...]:
    return tuple(_price(asked, low, high, label=_label(low, high)) for low, high in PRICES)


def prices(asked: Filters, found: Results, *, text: str, category: str) -> tuple[Facet, ...]:
    return tuple(
        _price(asked, low, high, label=label, count=count, q=text, category=category)
        for label, low, high, count in found.prices
    )


def departments(asked: Filters, found: Results, *, text: str, category: str) -> tuple[Facet, ...]:
    return tuple(
        Facet(name, _address(asked, q=text, category="" if slug == category else slug), slug == category, count)
        for slug, name, count in found.categories
        if count or slug == category
    )


def _price(
    asked: Filters, low: int | None, high: int | None, *, label: str, count: int | None = None, **others: str
) -> Facet:
    current = (low, high) == (asked.low_cents, asked.high_cents)
    ends = (None, None) if current else (low, high)
    address = _address(replace(asked, low_cents=ends[0], high_cents=ends[1]), **others)
    return Facet(label, address, current, count)


def _address(asked: Filters, **others: str) -> str:
    return asked.address(others=others) or "?"


def _label(low: int | None, high: int | None) -> str:
    if low is None:
        return f"up to {price(high or 0)}"
    return f"{price(low)} and more" if high is None else f"{price(low)} to {price(high)}"

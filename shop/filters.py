"""What a shelf's or a search's address asks for: order, ends of the price, page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from shop.catalogue import SORTS

_AMOUNT = re.compile(r"(\d{1,6})(?:[.,](\d{1,2}))?")
_PAGE = re.compile(r"[1-9]\d{0,4}")


class BadFilter(ValueError):
    """What was asked for cannot be meant; the message says what to enter."""


class NoSuchPage(LookupError):
    """The address names a page that no shelf has."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Ends of the price in cents, both included; pages count from 1."""

    sort: str = SORTS[0]
    low_cents: int | None = None
    high_cents: int | None = None
    page: int = 1

    def address(self, *, page: int = 1, others: Mapping[str, str]) -> str:
        """These filters, and the `others`, as a query for that page, with `?` in front; "" for nothing to say."""
        said = {name: value for name, value in others.items() if value}
        if self.sort != SORTS[0]:
            said["sort"] = self.sort
        if self.low_cents is not None:
            said["low"] = typed(self.low_cents)
        if self.high_cents is not None:
            said["high"] = typed(self.high_cents)
        if page > 1:
            said["page"] = str(page)
        return f"?{urlencode(said)}" if said else ""


def read(query: Mapping[str, str]) -> Filters:
    """Raises `BadFilter` for what was typed wrongly, `NoSuchPage` for a page that nobody was led to."""
    found = Filters(
        sort=_sort(query.get("sort", "")),
        low_cents=_cents(query.get("low", ""), "lowest"),
        high_cents=_cents(query.get("high", ""), "highest"),
        page=page(query),
    )
    if found.low_cents is not None and found.high_cents is not None and found.low_cents > found.high_cents:
        raise BadFilter("The lowest price is above the highest: please swap them.")
    return found


def page(query: Mapping[str, str]) -> int:
    """Raises `NoSuchPage`."""
    text = query.get("page", "")
    if text and not _PAGE.fullmatch(text):
        raise NoSuchPage("There is no such page: pages are numbered from 1.")
    return int(text or 1)


def typed(cents: int) -> str:
    """Cents as somebody would type them into the form: `25`, `12.50`."""
    units, rest = divmod(cents, 100)
    return f"{units}.{rest:02d}" if rest else str(units)


def _sort(text: str) -> str:
    if text and text not in SORTS:
        raise BadFilter(f"There is no such order. There are: {', '.join(SORTS)}.")
    return text or SORTS[0]


def _cents(text: str, which: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    found = _AMOUNT.fullmatch(text) if text.isascii() else None
    if found is None:
        raise BadFilter(f"Please enter the {which} price as an amount from 0 to 999999.99, such as 25 or 12.50.")
    units, rest = found.groups(default="0")
    return int(units) * 100 + int(rest.ljust(2, "0"))

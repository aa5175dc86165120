"""Which sale is on, and the operator's steps: open one, pause it, let it go on."""

import time
from datetime import datetime
from typing import Any

from django.utils import timezone

from ico.models import Sale

_MEMORY_SECONDS = 1.0
_current: tuple[float, Sale] | None = None


class BelowReserved(Exception):
    """The new total cap is less than what is promised or paid already. Nothing was changed."""


class NoSale(Exception):
    """No sale has been set up yet."""


def current() -> Sale:
    """The sale that the public pages are about: the one that is open, else the next to open, else the last. Remembered
    for a second, so its counters may be that old; whoever decides something reads the row anew."""
    global _current
    known = _current
    if known is None or time.monotonic() - known[0] > _MEMORY_SECONDS:
        known = _current = (time.monotonic(), _chosen(timezone.now()))
    return known[1]


def _chosen(now: datetime) -> Sale:
    rows = list(Sale.objects.order_by("opens_at", "pk"))
    if not rows:
        raise NoSale("no sale has been set up; `manage.py seed_sale` makes one")
    opened = [sale for sale in rows if sale.opens_at <= now < sale.closes_at]
    upcoming = [sale for sale in rows if now < sale.opens_at]
    return opened[-1] if opened else upcoming[0] if upcoming else rows[-1]


def forget() -> None:
    """Drop what `current` remembers."""
    global _current
    _current = None


def open_sale(
    *,
    slug: str,
    name: str,
    opens_at: datetime,
    closes_at: datetime,
    total_cap_cents: int,
    personal_cap_cents: int,
    **rules: object,
) -> Sale:
    """Set a sale up. `rules` are further fields of `Sale`; a rule that contradicts another raises `ValidationError`."""
    sale = Sale(
        slug=slug,
        name=name,
        opens_at=opens_at,
        closes_at=closes_at,
        total_cap_cents=total_cap_cents,
        personal_cap_cents=personal_cap_cents,
        **rules,
    )
    sale.full_clean()
    sale.save(force_insert=True)
    forget()
    return sale


def change(*, sale_id: int, **rules: Any) -> None:
    """Change some of a sale's rules, and nothing else: its counters move on while an operator fills in a form.
    Raises `BelowReserved`; whatever else contradicts is refused by the table's constraints."""
    sale = Sale.objects.filter(pk=sale_id)
    if "total_cap_cents" in rules:
        sale = sale.filter(reserved_cents__lte=rules["total_cap_cents"])
    if rules and not sale.update(**rules):
        raise BelowReserved("The total cap cannot be lower than what is promised or paid already.")
    forget()


def set_paused(*, sale_ids: list[int], paused: bool) -> int:
    """Pause the releases of these sales, or let them go on. Returns how many changed."""
    changed = Sale.objects.filter(pk__in=sale_ids, paused=not paused).update(paused=paused)
    forget()
    return changed

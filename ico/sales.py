"""Which sale is on, and the operator's steps: open one, pause it, let it go on."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any

from django.db import Error
from django.utils import timezone

from config import database
from config.faults import words
from ico.models import Sale

logger = logging.getLogger(__name__)
_MEMORY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Known:
    """The sale as it was at `as_of` (None: not known when), and when somebody last tried to look."""

    looked_at: float
    as_of: datetime | None
    sale: Sale


_current: _Known | None = None
_looking = Lock()


class BelowReserved(Exception):
    """The new total cap is less than what is promised or paid already. Nothing was changed."""


class NoSale(Exception):
    """No sale has been set up yet."""


def current() -> Sale:
    """The sale that the public pages are about: the one that is open, else the next to open, else the last. Remembered
    for a second, so its counters may be that old, and for as long as the database does not answer; whoever decides
    something reads the row anew."""
    known = _current
    if known is None:
        known = _look()
    elif time.monotonic() - known.looked_at > _MEMORY_SECONDS and _looking.acquire(blocking=False):
        try:  # one thread looks, and the others go on with what is known
            known = _look()
        except Error as error:
            logger.warning("going on with the sale as it is remembered: %s", words(error))
            known = _remember(replace(known, looked_at=time.monotonic()))
        finally:
            _looking.release()
    database.remembered(known.as_of)
    return known.sale


def _look() -> _Known:
    sale = _chosen(timezone.now())
    return _remember(_Known(time.monotonic(), database.as_of(), sale))


def _remember(known: _Known) -> _Known:
    global _current
    _current = known
    return known


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

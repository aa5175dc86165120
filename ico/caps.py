"""The caps: what a coin is worth, and how much of the sale's total cap is promised or paid.

Worth is whole cents, rounded down; an amount that shall reach a worth is rounded up. A sale's `reserved_cents` is moved
here only, by one conditional UPDATE each time.
"""

from __future__ import annotations

import re
from datetime import datetime

from django.db.models import F

from ico.amounts import PLACES
from ico.models import Rate, Sale

MOST_CENTS = 10**12
MOST_SOURCE = 120
UNITS: dict[str, int] = {chain: 10**places for chain, places in PLACES.items()}


class NoRate(LookupError):
    """No rate of this chain was ever recorded, so nothing can be priced in it."""


class NotReserved(RuntimeError):
    """More was given back than is reserved: the books are wrong somewhere, and nothing was changed."""


class BadRate(ValueError):
    """What was said of a coin's worth cannot be meant; the message says why, and nothing was recorded."""


class Leap(BadRate):
    """The worth is so far from the one before that a digit may be missing or too many."""


def record_rate(*, chain: str, cents_per_coin: int, source: str, now: datetime) -> Rate:
    """Fixed on each invitation made from now on, until the next one; those made before keep theirs. Raises
    `BadRate`."""
    refuse_nonsense(chain=chain, cents_per_coin=cents_per_coin, source=source)
    return Rate.objects.create(chain=chain, cents_per_coin=cents_per_coin, source=source.strip(), observed_at=now)


def refuse_nonsense(*, chain: str, cents_per_coin: int, source: str) -> None:
    """Raises `BadRate`."""
    if chain not in UNITS:
        raise BadRate(f"There is no chain {chain}.")
    if not 1 <= cents_per_coin <= MOST_CENTS:
        raise BadRate("A coin is worth at least one cent, and at most ten billion.")
    if not source.strip() or len(source.strip()) > MOST_SOURCE or not source.isprintable():
        raise BadRate(f"Say in one line of at most {MOST_SOURCE} characters where the rate is from.")


def cents_from(text: str) -> int:
    """What a person writes, `3500` or `3500.00`, in cents. Raises `BadRate`: a comma may be either of two things."""
    found = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]{2}))?", text.strip())
    if found is None:
        raise BadRate("Write the worth of one coin like 3500 or 3500.00.")
    return int(found[1]) * 100 + int(found[2] or 0)


def refuse_leap(*, chain: str, cents_per_coin: int) -> None:
    """Raises `Leap` if the worth is less than half, or more than twice, of what it was."""
    newest = Rate.objects.filter(chain=chain).order_by("-observed_at", "-pk").first()
    if newest is not None and not newest.cents_per_coin <= 2 * cents_per_coin <= 4 * newest.cents_per_coin:
        raise Leap(f"The last rate was {newest}; this one is less than half or more than twice of it.")


def rate_now(chain: str) -> Rate:
    rate = Rate.objects.filter(chain=chain).order_by("-observed_at", "-pk").first()
    if rate is None:
        raise NoRate(chain)
    return rate


def has_rate(chain: str) -> bool:
    return Rate.objects.filter(chain=chain).exists()


def worth_cents(amount: int, rate: Rate, chain: str) -> int:
    return amount * rate.cents_per_coin // UNITS[chain]


def amount_for(cents: int, rate: Rate, chain: str) -> int:
    """The smallest amount, in satoshi or wei, that is worth at least so much."""
    return -(-cents * UNITS[chain] // rate.cents_per_coin)


def reserve(sale_id: int, cents: int) -> bool:
    """Promise so much of the total cap. False: there is no room for it, and nothing was changed."""
    _must_be_an_amount(cents)
    room = Sale.objects.filter(pk=sale_id).alias(after=F("reserved_cents") + cents)
    return room.filter(after__lte=F("total_cap_cents")).update(reserved_cents=F("reserved_cents") + cents) == 1


def give_back(sale_id: int, cents: int) -> None:
    _must_be_an_amount(cents)
    promised = Sale.objects.filter(pk=sale_id, reserved_cents__gte=cents)
    if promised.update(reserved_cents=F("reserved_cents") - cents) != 1:
        raise NotReserved(f"sale {sale_id} has less than {cents} cents reserved")


def _must_be_an_amount(cents: int) -> None:
    if cents < 0:
        raise ValueError("Cents are reserved and given back as positive numbers.")

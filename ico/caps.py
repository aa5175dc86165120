"""The caps: what a coin is worth, and how much of the sale's total cap is promised or paid.

Worth is whole cents, rounded down; an amount that shall reach a worth is rounded up. A sale's `reserved_cents` is moved
here only, by one conditional UPDATE each time.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from ico.amounts import PLACES
from ico.models import Rate, Sale

UNITS: dict[str, int] = {chain: 10**places for chain, places in PLACES.items()}


class NoRate(LookupError):
    """No rate of this chain was ever recorded, so nothing can be priced in it."""


class NotReserved(RuntimeError):
    """More was given back than is reserved: the books are wrong somewhere, and nothing was changed."""


def record_rate(*, chain: str, cents_per_coin: int, source: str, now: datetime) -> Rate:
    if cents_per_coin <= 0:
        raise ValueError("A coin is worth at least one cent.")
    return Rate.objects.create(chain=chain, cents_per_coin=cents_per_coin, source=source, observed_at=now)


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

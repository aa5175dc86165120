"""Worth, and the one conditional UPDATE behind each cap."""

import pytest
from django.db import IntegrityError
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st

from ico import caps
from ico.models import Rate, Sale


@given(
    cents=st.integers(min_value=0, max_value=10**12),
    per_coin=st.integers(min_value=1, max_value=10**8),
    chain=st.sampled_from(["BTC", "ETH"]),
)
def test_the_amount_for_a_worth_is_the_smallest_that_reaches_it(cents: int, per_coin: int, chain: str) -> None:
    rate = Rate(chain=chain, cents_per_coin=per_coin)
    amount = caps.amount_for(cents, rate, chain)
    assert caps.worth_cents(amount, rate, chain) >= cents
    assert amount == 0 or caps.worth_cents(amount - 1, rate, chain) < cents


def test_worth_is_rounded_down() -> None:
    rate = Rate(chain="BTC", cents_per_coin=6_000_000)
    assert caps.worth_cents(10**8, rate, "BTC") == 6_000_000
    assert [caps.worth_cents(amount, rate, "BTC") for amount in (0, 16, 17, 33, 34)] == [0, 0, 1, 1, 2]


def test_the_newest_rate_counts_and_none_is_an_error(db: None, now) -> None:
    with pytest.raises(caps.NoRate):
        caps.rate_now("BTC")
    caps.record_rate(chain="BTC", cents_per_coin=1, source="test", now=now)
    caps.record_rate(chain="BTC", cents_per_coin=2, source="test", now=now)
    assert caps.rate_now("BTC").cents_per_coin == 2


def test_reserving_ends_exactly_at_the_total_cap(sale) -> None:
    assert caps.reserve(sale.pk, sale.total_cap_cents - 1)
    assert not caps.reserve(sale.pk, 2)
    assert caps.reserve(sale.pk, 1)
    assert Sale.objects.get(pk=sale.pk).reserved_cents == sale.total_cap_cents


def test_not_more_is_given_back_than_was_reserved(sale) -> None:
    caps.reserve(sale.pk, 10)
    with pytest.raises(caps.NotReserved):
        caps.give_back(sale.pk, 11)
    caps.give_back(sale.pk, 4)
    assert Sale.objects.get(pk=sale.pk).reserved_cents == 6


@pytest.mark.parametrize("step", [caps.reserve, caps.give_back])
def test_negative_cents_are_refused(sale, step) -> None:
    with pytest.raises(ValueError, match="positive"):
        step(sale.pk, -1)


def test_without_the_condition_the_database_still_refuses(sale) -> None:
    """The negative control: the naive update is stopped by the CHECK constraint, the last line behind the condition."""
    with pytest.raises(IntegrityError):
        Sale.objects.filter(pk=sale.pk).update(reserved_cents=F("reserved_cents") + sale.total_cap_cents + 1)

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


@pytest.mark.parametrize(
    ("text", "cents"), [("3500", 350_000), ("3500.00", 350_000), (" 0.01 ", 1), ("65000.5 ", None)]
)
def test_a_worth_as_people_write_it(text: str, cents: int | None) -> None:
    if cents is None:
        with pytest.raises(caps.BadRate):
            caps.cents_from(text)
    else:
        assert caps.cents_from(text) == cents


@pytest.mark.parametrize(
    "text", ["", "3,500", "3500,00", "-1", "1e4", "0x10", "³", "NaN", "3500.001", "9" * 11, "1 000"]
)
def test_a_worth_that_may_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(caps.BadRate, match=r"like 3500 or 3500\.00"):
        caps.cents_from(text)


@pytest.mark.parametrize(
    ("chain", "cents", "source"),
    [
        ("DOGE", 1, "test"),
        ("ETH", 0, "test"),
        ("ETH", -1, "test"),
        ("ETH", 10**12 + 1, "test"),
        ("ETH", 1, "  "),
        ("ETH", 1, "x" * 121),
        ("ETH", 1, "two\nlines"),
    ],
)
def test_a_rate_that_cannot_be_meant_leaves_no_row(sale, now, chain: str, cents: int, source: str) -> None:
    before = Rate.objects.count()
    with pytest.raises(caps.BadRate):
        caps.record_rate(chain=chain, cents_per_coin=cents, source=source, now=now)
    assert Rate.objects.count() == before


@pytest.mark.parametrize(("cents", "leaps"), [(150_000, False), (149_999, True), (600_000, False), (600_001, True)])
def test_less_than_half_or_more_than_twice_is_a_leap(sale, cents: int, leaps: bool) -> None:
    if leaps:
        with pytest.raises(caps.Leap, match=r"ETH 3000\.00"):
            caps.refuse_leap(chain="ETH", cents_per_coin=cents)
    else:
        caps.refuse_leap(chain="ETH", cents_per_coin=cents)


def test_the_first_rate_of_a_chain_is_no_leap(db: None) -> None:
    caps.refuse_leap(chain="ETH", cents_per_coin=1)

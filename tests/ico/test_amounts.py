"""Amounts survive the database exactly."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import DecimalField
from django.db.models.functions import Cast

from ico.amounts import AmountField, in_coins
from ico.models import ChainReading, Deposit
from tests.ico.people import joined

EXACT = [0, 1, 10**15 + 1, 123_456_789_012_345_678, 2**63 - 1, 2**63, 2**64 + 1, 120_000_000 * 10**18 + 1, 10**40 - 1]


@pytest.fixture
def deposit(sale, now):
    invitation = joined(sale=sale, now=now)
    address = invitation.addresses.get(chain="ETH")
    return lambda amount: Deposit.objects.create(
        chain="ETH", txid=f"0x{amount:x}", address=address, amount=amount, first_seen_at=now
    )


@pytest.mark.parametrize("amount", EXACT)
def test_amounts_come_back_as_they_were(deposit, amount: int) -> None:
    row = deposit(amount)
    row.refresh_from_db()
    assert (row.amount, type(row.amount)) == (amount, int)
    assert list(Deposit.objects.values_list("amount", "owed_back")) == [(amount, 0)]
    assert Deposit.objects.get(amount=amount) == row


def test_the_database_compares_and_sorts_them_as_numbers(deposit) -> None:
    for amount in (10**20, 9, 10, 2 * 10**19):
        deposit(amount)
    assert list(Deposit.objects.order_by("amount").values_list("amount", flat=True)) == [9, 10, 2 * 10**19, 10**20]
    assert Deposit.objects.filter(amount__gt=10).count() == 2
    assert Deposit.objects.filter(amount__in=[9, 10**20]).count() == 2


@pytest.mark.parametrize("amount", [-1, 10**40])
def test_what_is_no_amount_is_not_written(deposit, amount: int) -> None:
    with pytest.raises(ValueError, match="is not an amount"), transaction.atomic():
        deposit(amount)
    assert not Deposit.objects.exists()


@pytest.mark.parametrize("value", ["1.5", "-1", "１", "", 1.5, True, b"1"])
def test_only_whole_numbers_are_understood(value: object) -> None:
    with pytest.raises(ValidationError):
        AmountField().to_python(value)
    assert AmountField().to_python("0012") == 12


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the trap is SQLite's")
def test_a_decimal_column_would_have_lost_the_last_digits(deposit) -> None:
    """The negative control: why this field exists."""
    decimal = DecimalField(max_digits=40, decimal_places=0)
    deposit(123_456_789_012_345_678)
    assert Deposit.objects.annotate(as_decimal=Cast("amount", decimal)).get().as_decimal == 123_456_789_012_346_000


def test_the_base_fee_is_kept_too(db: None, now) -> None:
    ChainReading.objects.create(chain="ETH", load=0.5, base_fee=2**70, observed_at=now)
    assert ChainReading.objects.get().base_fee == 2**70


@pytest.mark.parametrize(
    ("amount", "chain", "written"),
    [
        (0, "BTC", "0"),
        (1, "BTC", "0.00000001"),
        (50_000_000, "BTC", "0.5"),
        (10**8, "BTC", "1"),
        (21_000_000 * 10**8, "BTC", "21000000"),
        (1, "ETH", "0.000000000000000001"),
        (10 * 10**18, "ETH", "10"),
        (123_456_789_012_345_678, "ETH", "0.123456789012345678"),
    ],
)
def test_coins_are_written_exactly(amount: int, chain: str, written: str) -> None:
    assert in_coins(amount, chain) == written

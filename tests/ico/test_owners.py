"""Who is paid is found among all the strangers of a block, in one statement for thousands of addresses."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ico import owners
from ico.models import DepositAddress, Sale
from tests.ico.people import address_of, joined

pytestmark = pytest.mark.django_db


def strangers(count: int) -> list[str]:
    """Spread over the whole index, before and behind ours."""
    return [f"0x{place * (2**160 // count):040x}" for place in range(count)]


def test_those_that_were_handed_out_are_found_among_strangers(sale: Sale, now: datetime) -> None:
    people = [joined(sale=sale, now=now) for _ in range(3)]
    wires = {address_of(person, "ETH").lower(): person for person in people}
    found = owners.owners("ETH", [*strangers(50), *wires, *wires])
    assert {wire: invitation for wire, (_, invitation) in found.items()} == {wire: p.pk for wire, p in wires.items()}
    rows = DepositAddress.objects.in_bulk([key for key, _ in found.values()])
    assert {wire: rows[key].wire for wire, (key, _) in found.items()} == {wire: wire for wire in wires}
    assert owners.owners("BTC", wires) == {}, "another chain's"


def test_one_that_waits_to_be_handed_out_is_nobodys(sale: Sale) -> None:
    ahead = DepositAddress.objects.create(chain="ETH", index=10_000, address="0x" + "Ab" * 20)
    assert owners.owners("ETH", [ahead.address.lower()]) == {}


def test_the_block_is_asked_about_in_few_statements_and_nobody_is_lost_between_two(
    sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    wires = {address_of(joined(sale=sale, now=now), "ETH").lower() for _ in range(7)}
    with CaptureQueriesContext(connection) as asked:
        assert owners.owners("ETH", [*strangers(owners.AT_ONCE - 7), *wires]).keys() == wires
    assert len(asked) == 1
    monkeypatch.setattr(owners, "AT_ONCE", 3)
    with CaptureQueriesContext(connection) as asked:
        assert owners.owners("ETH", [*strangers(8), *wires]).keys() == wires
    assert len(asked) == 5
    with CaptureQueriesContext(connection) as asked:
        assert owners.owners("ETH", []) == {}
    assert len(asked) == 0

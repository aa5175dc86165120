"""Deposit addresses, handed out to many at the same moment."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest
from django.db import IntegrityError

from ico import addresses, invitations
from ico.models import Chain, ChainCursor, DepositAddress, Invitation
from tests.concurrency.conftest import PEOPLE, enters_wallets
from tests.concurrency.rivals import broken, together, without

pytestmark = pytest.mark.django_db(transaction=True)


def test_everybody_gets_an_address_of_their_own(accepted: list[Invitation], now: datetime) -> None:
    assert together(*[enters_wallets(invitation) for invitation in accepted]) == []
    for chain in Chain.values:
        rows = DepositAddress.objects.filter(chain=chain).order_by("index")
        assert list(rows.values_list("index", flat=True)) == list(range(PEOPLE))
        assert len(set(rows.values_list("address", flat=True))) == PEOPLE
        assert ChainCursor.objects.get(chain=chain).next_index == PEOPLE
    assert broken(now) == set()


def test_one_who_clicks_eight_times_gets_one_address_on_each_chain(
    accepted: list[Invitation],
    now: datetime,
) -> None:
    raised = together(*[enters_wallets(accepted[0])] * 8)
    assert [type(error) for error in raised] == [invitations.StepOutOfOrder] * 7
    assert sorted(DepositAddress.objects.values_list("chain", "index")) == [("BTC", 0), ("ETH", 0)]
    assert broken(now) == set()


def look_then_issue(invitation: Invitation, now: datetime, looked: threading.Barrier) -> None:
    index = ChainCursor.objects.get(chain="ETH").next_index
    looked.wait(30)
    address = addresses.derived(chain="ETH", index=index)
    DepositAddress.objects.create(chain="ETH", index=index, address=address, invitation=invitation, issued_at=now)
    ChainCursor.objects.filter(chain="ETH").update(next_index=index + 1)


@pytest.fixture
def two(accepted: list[Invitation]) -> list[Invitation]:
    ChainCursor.objects.create(chain="ETH")
    return accepted[:2]


def test_looking_before_issuing_is_stopped_by_the_constraints(two: list[Invitation], now: datetime) -> None:
    looked = threading.Barrier(2)
    (refused,) = together(*[lambda one=one: look_then_issue(one, now, looked) for one in two])
    assert isinstance(refused, IntegrityError)
    assert DepositAddress.objects.count() == 1


def test_without_the_counters_lock_and_the_constraints_two_people_share_an_address(
    two: list[Invitation], now: datetime
) -> None:
    """Negative control."""
    looked = threading.Barrier(2)
    with without(DepositAddress, "deposit_address_index_used_once", "deposit_address_unique"):
        assert together(*[lambda one=one: look_then_issue(one, now, looked) for one in two]) == []
        assert DepositAddress.objects.values("address").distinct().count() == 1
        assert "addresses-unique" in broken(now)

"""Deposit addresses: derived in order ahead of their use, given once, and published for the owner of the key."""

from __future__ import annotations

from datetime import datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from ico import addresses, figures, invitations, tasks, terms
from ico.addresses import Published
from ico.models import Chain, ChainCursor, DepositAddress, Invitation, Sale
from tests.ico.conftest import invite_all, join
from tests.ico.people import invited, joined

OTHER_KEY = (  # BIP84's published account
    "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
)


def rows(chain: str) -> list[tuple[int, str]]:
    return list(DepositAddress.objects.filter(chain=chain).order_by("index").values_list("index", "address"))


def test_indexes_are_given_in_order_and_addresses_derived_from_them(sale: Sale, now: datetime) -> None:
    people = [joined(sale=sale, now=now) for _ in range(3)]
    for chain in Chain.values:
        assert rows(chain) == [(index, addresses.derived(chain=chain, index=index)) for index in range(3)]
        assert [person.addresses.get(chain=chain).index for person in people] == [0, 1, 2]
        assert addresses.highest_index(chain) == 2
        assert ChainCursor.objects.get(chain=chain).next_index == 3


# --- ahead ------------------------------------------------------------------------------------------------------------
def test_so_many_wait_as_the_setting_says_and_each_step_is_bounded(db: None, settings: Settings) -> None:
    settings.ADDRESSES_AHEAD = 10
    assert [addresses.derive_ahead(chain="BTC", most=4) for _ in range(4)] == [4, 4, 2, 0]
    assert rows("BTC") == [(index, addresses.derived(chain="BTC", index=index)) for index in range(10)]
    assert addresses.waiting("BTC").count() == ChainCursor.objects.get(chain="BTC").next_index == 10
    assert rows("ETH") == []


def test_what_was_handed_out_is_made_good(sale: Sale, now: datetime, settings: Settings) -> None:
    settings.ADDRESSES_AHEAD = 3
    addresses.derive_ahead(chain="BTC", most=100)
    joined(sale=sale, now=now)
    assert addresses.derive_ahead(chain="BTC", most=100) == 1
    assert list(addresses.waiting("BTC").order_by("index").values_list("index", flat=True)) == [1, 2, 3]


def test_the_tick_fills_both_pools_a_bounded_step_at_a_time(db: None, settings: Settings) -> None:
    settings.ADDRESSES_AHEAD = addresses.AT_ONCE + 7
    for wait in (addresses.AT_ONCE, addresses.AT_ONCE + 7, addresses.AT_ONCE + 7):
        tasks.derive()
        assert [addresses.waiting(chain).count() for chain in Chain.values] == [wait, wait]
    assert settings.CELERY_BEAT_SCHEDULE["derive"]["task"] == "ico.derive"


def test_a_full_pool_costs_a_tick_one_query_a_chain_and_no_write(db: None, settings: Settings) -> None:
    settings.ADDRESSES_AHEAD = 5
    tasks.derive()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        tasks.derive()
    assert len(asked) == 2
    assert all(query["sql"].startswith("SELECT COUNT") for query in asked)


def test_with_another_key_nothing_is_derived(sale: Sale, now: datetime, settings: Settings) -> None:
    joined(sale=sale, now=now)
    settings.BTC_XPUB = OTHER_KEY
    with pytest.raises(addresses.AnotherKey) as refusal:
        addresses.derive_ahead(chain="BTC", most=3)
    assert "STAMPEDE_BTC_XPUB" in str(refusal.value)
    assert OTHER_KEY[4:] not in str(refusal.value)
    assert len(rows("BTC")) == ChainCursor.objects.get(chain="BTC").next_index == 1
    assert addresses.derive_ahead(chain="ETH", most=3) == 3


# --- handing out ------------------------------------------------------------------------------------------------------
def test_one_invitation_gets_one_address_per_chain_and_a_refusal_costs_none(sale: Sale, now: datetime) -> None:
    invitation = joined(sale=sale, now=now)
    addresses.derive(chain="BTC", count=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        addresses.issue(chain="BTC", invitation=invitation, now=now)
    assert addresses.issued("BTC").count() == addresses.waiting("BTC").count() == 1


def test_an_empty_pool_is_named_and_nothing_changed(sale: Sale, now: datetime) -> None:
    with pytest.raises(addresses.NoneWaiting) as empty, transaction.atomic():
        addresses.issue(chain="ETH", invitation=invited(sale=sale, now=now), now=now)
    assert empty.value.chain == "ETH"
    assert rows("ETH") == []


@pytest.mark.django_db(transaction=True)
def test_none_is_issued_outside_a_transaction(sale: Sale, now: datetime) -> None:
    addresses.derive(chain="BTC", count=1)
    with pytest.raises(transaction.TransactionManagementError):
        addresses.issue(chain="BTC", invitation=invited(sale=sale, now=now), now=now)
    assert not addresses.issued("BTC").exists()


def test_what_was_rolled_back_is_given_to_the_next(sale: Sale, now: datetime) -> None:
    addresses.derive(chain="BTC", count=2)
    first, second = (invited(sale=sale, now=now) for _ in range(2))
    with transaction.atomic():
        assert addresses.issue(chain="BTC", invitation=first, now=now).index == 0
        transaction.set_rollback(True)
    with transaction.atomic():
        given = addresses.issue(chain="BTC", invitation=second, now=now)
    assert (given.index, given.owner_id, given.issued_at) == (0, second.pk, now)
    assert given.address == addresses.derived(chain="BTC", index=0)


def test_the_release_before_this_one_goes_on_beside_it(sale: Sale, now: datetime) -> None:
    """It moves the counter, derives there, and writes a row that is handed out already."""
    addresses.derive(chain="BTC", count=2)
    ChainCursor.objects.filter(chain="BTC").update(next_index=3)
    theirs = {"index": 2, "address": addresses.derived(chain="BTC", index=2), "issued_at": now}
    DepositAddress.objects.create(chain="BTC", invitation=invited(sale=sale, now=now), **theirs)
    assert addresses.derive(chain="BTC", count=1) == 1
    assert joined(sale=sale, now=now).addresses.get(chain="BTC").index == 0
    assert rows("BTC") == [(index, addresses.derived(chain="BTC", index=index)) for index in range(4)]


@pytest.mark.parametrize("ahead", [0, 5])
def test_joining_takes_from_the_pool_and_never_waits_for_it(
    sale: Sale, now: datetime, settings: Settings, ahead: int
) -> None:
    settings.ADDRESSES_AHEAD = ahead
    tasks.derive()
    join(sale, "v@example.org")
    (invitation,) = invite_all(sale, now)
    invitations.accept_terms(invitation=invitation, client_address=None, now=now, version=terms.current())
    invitation.refresh_from_db()
    wallet = {"btc_address": "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "eth_address": "0x" + "1" * 40}
    invitations.enter_wallets(invitation=invitation, **wallet, now=now)
    assert Invitation.objects.get().state == "joined"
    for chain in Chain.values:
        assert invitation.addresses.get(chain=chain).index == 0
        assert addresses.waiting(chain).count() == max(0, ahead - 1)


# --- for the owner of the key -----------------------------------------------------------------------------------------
def test_what_the_owner_must_know(sale: Sale, now: datetime, settings: Settings) -> None:
    assert addresses.published() == [Published("BTC", 0, 0, None), Published("ETH", 0, 0, None)]
    assert addresses.published()[0].gap_limit == 20
    settings.ADDRESSES_AHEAD = 30
    addresses.derive_ahead(chain="BTC", most=30)
    for _ in range(2):
        joined(sale=sale, now=now)
    btc, eth = addresses.published()
    assert (btc, btc.gap_limit) == (Published("BTC", issued=2, waiting=28, highest=1), 30)
    assert (eth, eth.gap_limit) == (Published("ETH", issued=2, waiting=0, highest=1), 20)


def test_the_highest_is_the_highest_also_above_one_that_came_back(sale: Sale, now: datetime) -> None:
    addresses.derive(chain="BTC", count=4)
    higher = DepositAddress.objects.filter(chain="BTC", index=2)
    higher.update(invitation=invited(sale=sale, now=now), issued_at=timezone.now())
    assert addresses.published()[0] == Published("BTC", issued=1, waiting=3, highest=2)


def test_the_figures_for_prometheus(sale: Sale, now: datetime, settings: Settings) -> None:
    settings.ADDRESSES_AHEAD = 5
    addresses.derive_ahead(chain="BTC", most=5)
    joined(sale=sale, now=now)
    values = {(figure.name, *labels): value for figure, labels, value in figures._addresses()}
    assert values == {
        ("stampede_addresses_waiting", "BTC"): 4,
        ("stampede_addresses_highest_index", "BTC"): 0,
        ("stampede_addresses_waiting", "ETH"): 0,
        ("stampede_addresses_highest_index", "ETH"): 0,
    }


def test_the_admin_tells_what_was_handed_out_from_what_waits(sale: Sale, now: datetime, admin_client: Client) -> None:
    addresses.derive(chain="BTC", count=2)
    joined(sale=sale, now=now)
    given, free = (addresses.derived(chain="BTC", index=index) for index in (0, 1))

    def shown(**chosen: str) -> list[bool]:
        page = admin_client.get("/admin/ico/depositaddress/", {"chain__exact": "BTC", **chosen}).content.decode()
        return [address in page for address in (given, free)]

    assert shown() == [True, True]
    assert shown(handed_out="yes") == [True, False]
    assert shown(handed_out="no") == [False, True]


def test_a_sale_that_is_set_up_has_addresses_ready(db: None) -> None:
    call_command("seed_sale", stdout=StringIO())
    assert [row.waiting for row in addresses.published()] == [addresses.AT_ONCE] * 2

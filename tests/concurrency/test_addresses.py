"""Deposit addresses, derived ahead and handed out to many at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from config import faults
from ico import addresses, invitations
from ico.models import Chain, ChainCursor, DepositAddress, Invitation
from tests.concurrency.conftest import PEOPLE, enters_wallets
from tests.concurrency.rivals import broken, first, together, two_writers, without

pytestmark = pytest.mark.django_db(transaction=True)

DERIVE = {"chain": "ETH", "most": 40}


@pytest.fixture
def pool() -> None:
    for chain in Chain.values:
        addresses.derive(chain=chain, count=2 * PEOPLE)


def given(chain: str) -> list[int]:
    return list(addresses.issued(chain).order_by("index").values_list("index", flat=True))


def takes(invitation: Invitation, now: datetime, then: Callable[[], object] = lambda: None) -> Callable[[], None]:
    """Take an address, and do something before the commit."""

    def step() -> None:
        with transaction.atomic():
            addresses.issue(chain="ETH", invitation=invitation, now=now)
            then()

    return step


def test_everybody_gets_an_address_of_their_own(accepted: list[Invitation], now: datetime, pool: None) -> None:
    assert together(*[enters_wallets(invitation) for invitation in accepted]) == []
    for chain in Chain.values:
        assert given(chain) == list(range(PEOPLE))
        assert addresses.waiting(chain).count() == PEOPLE
        assert addresses.issued(chain).values("address").distinct().count() == PEOPLE
    assert broken(now) == set()


def test_nobody_is_refused_because_nothing_was_derived(accepted: list[Invitation], now: datetime) -> None:
    assert together(*[enters_wallets(invitation) for invitation in accepted]) == []
    for chain in Chain.values:
        assert len(given(chain)) == PEOPLE
        # Who lost an address to a rival derived one more; who derived where a rival did, did nothing.
        assert ChainCursor.objects.get(chain=chain).next_index == DepositAddress.objects.filter(chain=chain).count()
    assert broken(now) == set()


def test_one_who_clicks_eight_times_gets_one_address_on_each_chain(
    accepted: list[Invitation], now: datetime, pool: None
) -> None:
    raised = together(*[enters_wallets(accepted[0])] * 8)
    assert [type(error) for error in raised] == [invitations.StepOutOfOrder] * 7
    assert {chain: given(chain) for chain in Chain.values} == {"BTC": [0], "ETH": [0]}
    assert broken(now) == set()


def test_the_pool_is_filled_while_it_is_emptied(
    accepted: list[Invitation], now: datetime, pool: None, settings: Settings
) -> None:
    """Several clocks at once, and people: indexes stay dense, and no more is derived than was asked for."""
    settings.ADDRESSES_AHEAD = 30
    steps = [enters_wallets(invitation) for invitation in accepted]
    assert together(*steps, *[lambda: addresses.derive_ahead(**DERIVE)] * 4) == []
    indexes = DepositAddress.objects.filter(chain="ETH").order_by("pk").values_list("index", flat=True)
    assert list(indexes) == list(range(len(indexes)))
    assert 2 * PEOPLE < len(indexes) <= 30 + PEOPLE
    assert given("ETH") == list(range(PEOPLE))
    assert broken(now) == set()


def test_whose_transaction_is_undone_gives_the_address_back(
    accepted: list[Invitation], now: datetime, pool: None
) -> None:
    def fails() -> None:
        raise RuntimeError("something else went wrong")

    assert [type(error) for error in together(takes(accepted[0], now, fails))] == [RuntimeError]
    assert given("ETH") == []
    assert together(takes(accepted[1], now)) == []
    assert given("ETH") == [0]


# --- nobody waits for anybody -----------------------------------------------------------------------------------------
@two_writers
def test_nobody_waits_until_another_has_joined(accepted: list[Invitation], now: datetime, pool: None) -> None:
    """All twelve hold their address at the same moment, each in a transaction that has not ended."""
    all_hold_one = threading.Barrier(PEOPLE)
    assert together(*[takes(one, now, lambda: all_hold_one.wait(8)) for one in accepted]) == []
    assert given("ETH") == list(range(PEOPLE))


@two_writers
def test_more_in_the_middle_of_joining_than_are_looked_at(
    accepted: list[Invitation], now: datetime, pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "LOOKED_AT", 5)
    test_nobody_waits_until_another_has_joined(accepted, now, pool)


@two_writers
def test_without_passing_over_what_others_hold_they_wait(
    accepted: list[Invitation], now: datetime, pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the second waits for the first one's transaction, until the database has enough of it."""
    honest = type(DepositAddress.objects.all()).select_for_update
    monkeypatch.setattr("django.db.models.query.QuerySet.select_for_update", lambda rows, **how: honest(rows))

    def second() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout=1")
        takes(accepted[1], now)()

    rival = threading.Event()
    waited: list[Any] = []

    def while_the_first_holds_it() -> None:
        waited.extend(together(second))
        rival.set()

    assert together(takes(accepted[0], now, while_the_first_holds_it)) == []
    assert rival.is_set()
    assert [type(error) for error in waited] == [OperationalError]
    assert faults.number(waited[0]) == 1205


def usable_indexes(sql: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        columns = [column[0] for column in cursor.description]
        return set(dict(zip(columns, cursor.fetchone(), strict=True))["possible_keys"].split(","))


@two_writers
def test_rows_are_locked_along_the_primary_key_and_no_other(
    accepted: list[Invitation], now: datetime, pool: None
) -> None:
    """Along another index rows are locked for a moment that are not taken, and rivals would find none that is free."""
    with CaptureQueriesContext(connection) as asked:
        takes(accepted[0], now)()
    (locking,) = [query["sql"] for query in asked if query["sql"].endswith("FOR UPDATE SKIP LOCKED")]
    assert usable_indexes(locking) == {"PRIMARY"}
    # Negative control: asked for the same by the invitation, the database may choose.
    assert len(usable_indexes(locking.replace("`issued_at` IS NULL", "`invitation_id` IS NULL"))) > 1


# --- the guards, each taken away --------------------------------------------------------------------------------------
def both_choose_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a database that cannot pass over what others hold: two look, and see the same free row."""
    honest, looked, chosen = addresses._free, threading.Barrier(2), threading.local()

    def looks(chain: str) -> DepositAddress | None:
        if hasattr(chosen, "row"):
            return honest(chain)
        chosen.row = addresses.waiting(chain).order_by("index").first()
        looked.wait(30)
        return chosen.row

    monkeypatch.setattr(addresses, "_free", looks)


@two_writers
def test_who_chose_a_row_that_is_taken_gets_another(
    accepted: list[Invitation], now: datetime, pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_choose_the_same(monkeypatch)
    assert together(takes(accepted[0], now), takes(accepted[1], now)) == []
    assert given("ETH") == [0, 1]


@two_writers
def test_without_the_condition_two_people_are_shown_one_address(
    accepted: list[Invitation], now: datetime, pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    both_choose_the_same(monkeypatch)
    honest = DepositAddress.objects.filter
    blind = lambda **which: honest(**{name: value for name, value in which.items() if name != "invitation"})  # noqa: E731
    monkeypatch.setattr(DepositAddress.objects, "filter", blind)
    shown: list[str] = []

    def takes_blindly(invitation: Invitation) -> None:
        with transaction.atomic():
            shown.append(addresses.issue(chain="ETH", invitation=invitation, now=now).address)

    assert together(*[lambda one=one: takes_blindly(one) for one in accepted[:2]]) == []
    assert shown[0] == shown[1]


def overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival derives all it wants after we looked where to begin, and before we write."""
    rival = lambda: addresses.derive(chain="ETH", count=3)  # noqa: E731
    monkeypatch.setattr(addresses, "_store", first(rival, addresses._store))


def test_who_derived_where_a_rival_did_stores_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ChainCursor.objects.create(chain="ETH")
    overtaken(monkeypatch)
    assert addresses.derive(chain="ETH", count=5) == 0
    assert ChainCursor.objects.get(chain="ETH").next_index == DepositAddress.objects.count() == 3
    assert addresses.derive(chain="ETH", count=5) == 5


def stores_without_looking_again(chain: str, first: int, found: list[str]) -> int:
    rows = [DepositAddress(chain=chain, index=index, address=address) for index, address in enumerate(found, first)]
    DepositAddress.objects.bulk_create(rows)
    return len(rows)


def test_without_the_counters_condition_the_constraints_stop_it(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ChainCursor.objects.create(chain="ETH")
    rival = lambda: addresses.derive(chain="ETH", count=3)  # noqa: E731
    monkeypatch.setattr(addresses, "_store", first(rival, stores_without_looking_again))
    with pytest.raises(IntegrityError):
        addresses.derive(chain="ETH", count=5)
    assert DepositAddress.objects.count() == 3  # the rival's


def test_without_the_constraints_two_people_share_an_address(accepted: list[Invitation], now: datetime) -> None:
    """Negative control."""
    ChainCursor.objects.create(chain="ETH")
    looked = threading.Barrier(2)

    def look_then_issue(invitation: Invitation) -> None:
        index = ChainCursor.objects.get(chain="ETH").next_index
        looked.wait(30)
        address = addresses.derived(chain="ETH", index=index)
        DepositAddress.objects.create(chain="ETH", index=index, address=address, invitation=invitation, issued_at=now)
        ChainCursor.objects.filter(chain="ETH").update(next_index=index + 1)

    names = ("deposit_address_index_used_once", "deposit_address_unique", "deposit_address_on_the_wire_unique")
    with without(DepositAddress, *names):
        assert together(*[lambda one=one: look_then_issue(one) for one in accepted[:2]]) == []
        assert DepositAddress.objects.values("address").distinct().count() == 1
        assert "addresses-unique" in broken(now)

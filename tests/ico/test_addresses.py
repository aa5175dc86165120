"""Deposit addresses: derived in order, given once, whatever runs at the same time."""

import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction

from ico import addresses, caps
from ico.models import ChainCursor, DepositAddress, Sale
from tests.ico.people import invited, joined

THREADS, EACH = 4, 6


def test_indexes_are_given_in_order_and_addresses_derived_from_them(sale, now) -> None:
    for _ in range(3):
        joined(sale=sale, now=now)
    for chain in ("BTC", "ETH"):
        rows = list(DepositAddress.objects.filter(chain=chain).order_by("index").values_list("index", "address"))
        assert rows == [(index, addresses.derived(chain=chain, index=index)) for index in range(3)]
        assert addresses.highest_index(chain) == 2
        assert ChainCursor.objects.get(chain=chain).next_index == 3


def test_one_invitation_gets_one_address_per_chain_and_a_refusal_costs_no_index(sale, now) -> None:
    invitation = joined(sale=sale, now=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        addresses.issue(chain="BTC", invitation=invitation, now=now)
    assert ChainCursor.objects.get(chain="BTC").next_index == 1
    assert DepositAddress.objects.filter(chain="BTC").count() == 1


@pytest.fixture
def invitations(django_db_blocker, tmp_path, now):
    """Invitations in a database of several real connections: a file, where the tests' own is in memory."""
    usual, settings = connections["default"], connections.settings["default"]
    with django_db_blocker.unblock():
        connections.settings["default"] = {**settings, "NAME": str(tmp_path / "filed.sqlite3")}
        connections["default"] = connections.create_connection("default")
        try:
            call_command("migrate", verbosity=0)
            yield [invited(sale=_sale(now), now=now, allowance_cents=1_000) for _ in range(THREADS * EACH)]
        finally:
            connections["default"].close()
            connections["default"], connections.settings["default"] = usual, settings


def _sale(now):
    for chain in ("BTC", "ETH"):
        caps.record_rate(chain=chain, cents_per_coin=300_000, source="test", now=now)
    return Sale.objects.get_or_create(
        slug="filed",
        defaults={
            "name": "Filed",
            "opens_at": now,
            "closes_at": now + timedelta(days=1),
            "total_cap_cents": 10**9,
            "personal_cap_cents": 10**6,
        },
    )[0]


def at_once(work) -> list[BaseException]:
    """Run `work(number)` on as many real connections, starting together."""
    failures: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait(timeout=30)
            work(number)
        except Exception as error:  # noqa: BLE001 (told in the main thread)
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return failures


only_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="makes its own SQLite file")


@only_sqlite
def test_none_is_issued_outside_a_transaction(invitations, now) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        addresses.issue(chain="BTC", invitation=invitations[0], now=now)
    assert not DepositAddress.objects.exists()


@only_sqlite
def test_real_connections_at_once_never_share_an_address(invitations, now) -> None:
    def work(number: int) -> None:
        for invitation in invitations[number * EACH : (number + 1) * EACH]:
            with transaction.atomic():
                addresses.issue(chain="BTC", invitation=invitation, now=now)

    assert at_once(work) == []
    assert sorted(DepositAddress.objects.values_list("index", flat=True)) == list(range(THREADS * EACH))
    assert ChainCursor.objects.get(chain="BTC").next_index == THREADS * EACH


@only_sqlite
def test_reading_before_writing_would_have_shared_one(invitations, now) -> None:
    """The negative control: read, decide, write gives two people the same index."""
    ChainCursor.objects.create(chain="BTC")
    given: list[int] = []
    together = threading.Barrier(THREADS)

    def work(number: int) -> None:
        index = ChainCursor.objects.get(chain="BTC").next_index
        together.wait(timeout=30)
        ChainCursor.objects.filter(chain="BTC").update(next_index=index + 1)
        given.append(index)

    assert at_once(work) == []
    assert given == [0] * THREADS
    assert ChainCursor.objects.get(chain="BTC").next_index == 1

"""What was settled and lost its block: it is told once, comes back, or ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import OperationalError

from ico import alarms, books, deposits, invitations, undecided
from ico.chains.simulated import SimulatedChain
from ico.models import Deposit, Invitation, Sale
from tests.ico.following.node import DEPTH, ETHER, Node, entries, pay
from tests.ico.people import address_of

FULL = ETHER // 3 + 1  # fills an allowance of 100,000 cents


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def row(txid: str) -> tuple[str, str, int, int]:
    deposit = Deposit.objects.get(txid=txid)
    return deposit.state, deposit.review, deposit.credited_cents, deposit.owed_back


def ringing(now: datetime) -> list[str]:
    cache.clear()
    return [alarm.text for alarm in alarms.ringing(cursors=[], now=now) if alarm.about == "undone"]


def deep_reorg(node: Node, person: Invitation, follower: deposits.Follower, now: datetime) -> str:
    """Credited, and then double-spent by a reorg that reaches below it."""
    txid = pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, dropped=[txid])
    node.send("0x" + "1" * 40, ETHER // 10)  # the same coins, spent elsewhere
    follower.step(now)
    assert row(txid) == ("review", "reorg", 0, 0)
    return txid


def test_a_compensated_payment_that_was_spent_elsewhere_ends(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    txid = deep_reorg(node, person, follower, now)
    assert deposits.status(person, now=now).state == "review"
    assert ringing(now) != []
    node.mine(DEPTH)
    follower.step(now)
    assert row(txid) == ("dropped", "reorg", 0, 0)
    assert entries() == [30_000, -30_000]
    assert ringing(now) == []
    assert deposits.status(person, now=now).state == "awaiting"
    node.send(address_of(person, "ETH"), FULL)
    node.mine(DEPTH)
    follower.step(now)
    assert deposits.status(person, now=now).state == "paid"
    person.refresh_from_db()
    assert person.credited_cents == 100_000


def test_its_reservation_ends(
    node: Node, person: Invitation, follower: deposits.Follower, sale: Sale, now: datetime, tmp_path: Path
) -> None:
    txid = deep_reorg(node, person, follower, now)
    bitcoin = deposits.Follower(SimulatedChain(tmp_path / "btc.sqlite3", chain="BTC"))
    assert person.pay_until is not None
    after = person.pay_until + undecided.GRACE + timedelta(minutes=1)
    for found in (bitcoin, follower):
        found._client.mine(now=after.timestamp())  # type: ignore[attr-defined]
    bitcoin.step(after)
    assert invitations.expire(now=after) == 0
    follower.step(after)
    assert row(txid)[0] == "dropped"
    assert invitations.expire(now=after) == 1
    person.refresh_from_db()
    sale.refresh_from_db()
    assert (person.state, person.allowance_cents, sale.reserved_cents) == ("expired", 0, 0)


def test_one_that_was_given_up_and_comes_back_is_booked_again(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    txid = deep_reorg(node, person, follower, now)
    follower.step(now)
    assert row(txid)[0] == "dropped"
    with node._writing() as db:  # a wallet broadcasts the same transaction again
        db.execute("INSERT INTO mempool (txid) VALUES (?)", (txid,))
    deposits.Follower(node).step(now)
    node.mine(1)
    follower.step(now)
    assert row(txid) == ("review", "reorg", 0, 0), "in a block again, and not deep enough"
    node.mine(DEPTH)
    follower.step(now)
    assert row(txid) == ("credited", "", 30_000, 0)
    assert entries() == [30_000, -30_000, 30_000]


def test_what_was_owed_back_and_nothing_of_it_credited_is_told_too(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody may have paid it back already."""
    full = node.send(address_of(person, "ETH"), FULL)
    node.mine(DEPTH)
    follower.step(now)
    excess = node.send(address_of(person, "ETH"), ETHER // 2)
    node.mine(DEPTH)
    follower.step(now)
    assert row(excess) == ("review", "excess", 0, ETHER // 2)
    node.reorg(DEPTH)
    follower.step(now)
    (alarm,) = told(caplog)
    assert excess in alarm
    assert "0.5 ETH not owed back any more" in alarm
    assert row(excess) == ("review", "reorg", 0, 0)
    assert ringing(now) == [
        "1 deposit undone by a reorg after having been credited or owed back: 0.5 ETH in all that arrived."
    ]
    node.mine(DEPTH)
    follower.step(now)
    assert row(excess) == ("review", "excess", 0, ETHER // 2)
    assert (row(full), entries()) == (("credited", "", 100_000, 0), [100_000])


def test_a_step_that_was_rolled_back_tells_nothing(
    node: Node,
    person: Invitation,
    follower: deposits.Follower,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    txid = pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, dropped=[txid])

    def unlucky(**where: object) -> int:
        raise OperationalError(1213, "deadlock")

    with monkeypatch.context() as patched:
        patched.setattr(books, "settle", unlucky)
        with pytest.raises(OperationalError):
            follower.step(now)
    assert (told(caplog), entries()) == ([], [30_000])
    follower.step(now)
    assert len(told(caplog)) == 1

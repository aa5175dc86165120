"""Until when payments were looked for, and when one counts as first seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ico import books, deposits, invitations
from ico.chains.base import MempoolUnread, Transfer
from ico.chains.simulated import SimulatedChain
from ico.models import Deposit, Invitation
from tests.ico.following.node import DEPTH, ETHER, Node, cursor, pay
from tests.ico.people import address_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
def bitcoin(tmp_path: Path, person: Invitation, now: datetime) -> deposits.Follower:
    """The other chain, followed to a tip that is younger than anybody's time to pay."""
    chain = SimulatedChain(tmp_path / "btc.sqlite3", chain="BTC")
    assert person.pay_until is not None
    after = person.pay_until + MINUTE
    chain.mine(now=after.timestamp())
    found = deposits.Follower(chain)
    found.step(after)
    return found


def first_seen() -> datetime:
    return Deposit.objects.get().first_seen_at


def whole(moment: datetime) -> datetime:
    """As a block says it."""
    return datetime.fromtimestamp(int(moment.timestamp()), UTC)


# --- until when was looked --------------------------------------------------------------------------------------------
def test_a_node_that_stands_still_lets_nobodys_time_end(
    node: Node, person: Invitation, follower: deposits.Follower, bitcoin: deposits.Follower
) -> None:
    """The payment was made in time, and mined by a chain of which this node hears nothing any more."""
    assert person.pay_until is not None
    in_time, after = person.pay_until - MINUTE, person.pay_until + MINUTE
    stands_at = node.tip().time
    node.short = DEPTH
    pay(node, person, blocks=0)
    node.mine(DEPTH, now=in_time.timestamp())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(node, "appeared", tuple)  # no peers: nothing is heard either
        follower.step(after)
    assert cursor().tip_at == datetime.fromtimestamp(stands_at, UTC)
    assert cursor().followed_at == after, "it answers all the while"
    assert invitations.expire(now=after) == 0
    node.short = 0
    follower.step(after)
    assert invitations.expire(now=after) == 0, "the newest block is older than the end of their time"
    node.mine(now=after.timestamp())
    follower.step(after)
    person.refresh_from_db()
    assert person.credited_cents == 30_000
    assert invitations.expire(now=after) == 1, "what was not paid goes back"
    person.refresh_from_db()
    assert (person.state, person.allowance_cents) == ("joined", 30_000)


def test_a_miners_clock_that_is_ahead_makes_no_future(node: Node, follower: deposits.Follower, now: datetime) -> None:
    node.mine(now=(now + timedelta(hours=1)).timestamp())
    follower.step(now)
    assert cursor().tip_at == now


def test_payments_are_not_looked_for_until_the_whole_mempool_was_told(
    node: Node, person: Invitation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ico.chains.simulated_node.MOST_APPEARED", 2)
    for _ in range(4):
        node.send("0x" + "1" * 40, ETHER)
    node.send(address_of(person, "ETH"), ETHER // 10)
    follower = deposits.Follower(node)
    for _ in range(2):
        followed = follower.step(now)
        assert (followed.more_heard, followed.is_unfinished, followed.lag) == (True, True, 0)
        assert cursor().tip_at is None
    followed = follower.step(now)
    assert (followed.more_heard, followed.is_unfinished) == (False, False)
    assert cursor().tip_at is not None
    assert Deposit.objects.get().state == "seen"


def test_a_mempool_that_cannot_be_read_keeps_nobodys_time_from_ending(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread() -> list[Transfer]:
        raise MempoolUnread("not allowed")

    monkeypatch.setattr(node, "appeared", unread)
    node.mine(now=(now + MINUTE).timestamp())
    assert not follower.step(now + MINUTE).is_unfinished
    assert cursor().tip_at == whole(now + MINUTE)


# --- when it counts as seen -------------------------------------------------------------------------------------------
def failing(**where: Any) -> int:
    raise books.CapMoved("moved")


def test_what_was_heard_in_time_counts_though_steps_failed_in_between(
    node: Node, person: Invitation, follower: deposits.Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert person.pay_until is not None
    heard, after = person.pay_until - MINUTE, person.pay_until + MINUTE
    pay(node, person, blocks=0)
    with monkeypatch.context() as patched:
        patched.setattr(books, "settle", failing)
        for moment in (heard, after):
            with pytest.raises(books.CapMoved):
                follower.step(moment)
    node.mine(DEPTH, now=after.timestamp())
    follower.step(after)
    assert first_seen() == heard
    assert Deposit.objects.get().state == "credited"


def test_without_having_been_heard_it_is_late(node: Node, person: Invitation, follower: deposits.Follower) -> None:
    """Negative control."""
    assert person.pay_until is not None
    after = person.pay_until + MINUTE
    pay(node, person, blocks=0)
    node.mine(DEPTH, now=after.timestamp())
    follower.step(after)
    assert first_seen() == whole(after)
    assert Deposit.objects.get().review == "late"


def test_a_block_that_is_older_than_when_we_heard_says_when_it_was_there(
    node: Node, person: Invitation, follower: deposits.Follower
) -> None:
    """Heard late, of a chain that gave up a block: the next block that has it was mined in time all the same."""
    assert person.pay_until is not None
    in_time, after = person.pay_until - MINUTE, person.pay_until + MINUTE
    pay(node, person, blocks=0)
    follower.step(after)
    assert first_seen() == after
    node.mine(DEPTH, now=in_time.timestamp())
    follower.step(after)
    assert first_seen() == whole(in_time)
    assert Deposit.objects.get().state == "credited"


def test_a_block_that_is_younger_changes_nothing(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person, blocks=0)
    follower.step(now)
    node.mine(DEPTH, now=(now + MINUTE).timestamp())
    follower.step(now + MINUTE)
    assert first_seen() == now

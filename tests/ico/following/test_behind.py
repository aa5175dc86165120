"""What the follower does with a node that is behind."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ico import deposits
from ico.chains.base import Block, ChainUnavailable, NodeBehind
from ico.models import Deposit, Invitation
from tests.ico.following.node import DEPTH, ETHER, PATIENCE, Node, cursor, entries, pay, unavailable
from tests.ico.people import address_of


def test_a_node_that_is_behind_undoes_and_credits_nothing(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    before = cursor()
    node.short = 2
    node.send(address_of(person, "ETH"), ETHER // 20)
    for seconds in (1, 300, 599):
        with pytest.raises(NodeBehind):
            follower.step(now + timedelta(seconds=seconds))
    assert entries() == [30_000]
    assert Deposit.objects.get().state == "credited"
    after = cursor()
    assert (after.height, after.block_hash, after.followed_at) == (before.height, before.block_hash, before.followed_at)
    assert after.trouble == "the node is behind what was followed"
    assert after.trouble_since == after.behind_since == now + timedelta(seconds=1)


def test_a_node_that_has_caught_up_is_followed_on(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    node.short = 0
    node.mine(1)
    assert follower.step(now).rewound == 0
    assert entries() == [30_000]
    assert (cursor().trouble, cursor().trouble_since, cursor().behind_since) == ("", None, None)
    node.short = 2  # the next time it is given the whole time again
    with pytest.raises(NodeBehind):
        follower.step(now + PATIENCE)


def test_when_the_patience_is_over_the_chain_itself_went_back(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = DEPTH
    with pytest.raises(NodeBehind):
        follower.step(now)
    assert follower.step(now + PATIENCE).rewound == DEPTH
    assert entries() == [30_000, -30_000]
    node.short = 0
    follower.step(now + PATIENCE)
    assert entries() == [30_000, -30_000, 30_000]


def test_a_lower_tip_with_another_block_is_believed_at_once(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, length=1)
    assert follower.step(now).rewound == DEPTH
    assert entries() == [30_000, -30_000]


def test_behind_and_then_another_block_is_a_reorg_at_once(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, length=0)
    with pytest.raises(NodeBehind):
        follower.step(now)
    node.mine(1)
    assert follower.step(now).rewound == DEPTH
    assert entries() == [30_000, -30_000]


def test_a_node_that_says_itself_that_it_catches_up_is_waited_for_for_ever(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    with monkeypatch.context() as patched:

        def catching_up() -> Block:
            raise NodeBehind("block 17 of 100")

        patched.setattr(node, "tip", catching_up)
        with pytest.raises(NodeBehind):
            follower.step(now + 10 * PATIENCE)
        assert (cursor().trouble, cursor().behind_since) == ("block 17 of 100", None)
    with pytest.raises(NodeBehind):
        follower.step(now + 20 * PATIENCE)
    assert cursor().behind_since == now + 20 * PATIENCE
    assert entries() == [30_000]


class Interrupted:
    """What may come between two looks at a tip that is too low."""

    @staticmethod
    def unavailable(node: Node, follower: deposits.Follower, moment: datetime, patched: pytest.MonkeyPatch) -> None:
        patched.setattr(node, "tip", unavailable)
        with pytest.raises(ChainUnavailable):
            follower.step(moment)

    @staticmethod
    def absence(node: Node, follower: deposits.Follower, moment: datetime, patched: pytest.MonkeyPatch) -> None:
        follower.interrupted()

    @staticmethod
    def risen(node: Node, follower: deposits.Follower, moment: datetime, patched: pytest.MonkeyPatch) -> None:
        node.short -= 1

    @staticmethod
    def another(node: Node, follower: deposits.Follower, moment: datetime, patched: pytest.MonkeyPatch) -> None:
        with pytest.raises(NodeBehind):
            deposits.Follower(node).step(moment)


@pytest.mark.parametrize("what", ["unavailable", "absence", "risen", "another"])
def test_two_looks_with_something_else_in_between_undo_nothing(
    node: Node,
    person: Invitation,
    follower: deposits.Follower,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    with monkeypatch.context() as patched:
        getattr(Interrupted, what)(node, follower, now + PATIENCE / 2, patched)
    again = now + PATIENCE
    with pytest.raises(NodeBehind):
        follower.step(again)
    assert (cursor().behind_since, entries()) == (again, [30_000])
    assert follower.step(again + PATIENCE).rewound > 0, "it is given the whole time again, and no more"


def test_a_new_follower_begins_with_all_its_patience(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    with pytest.raises(NodeBehind):
        deposits.Follower(node).step(now + PATIENCE)
    assert (cursor().behind_since, entries()) == (now + PATIENCE, [30_000])

"""What a step asks a node for, and what it does when the chain moves between two questions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import pytest

from ico import deposits, sightings
from ico.chains.base import BadAnswer, Block
from ico.models import Deposit, Invitation
from tests.ico.following.node import ETHER, Node, cursor, pay
from tests.ico.people import address_of


class Receipts:
    """In the place of a node's `moved`: it has no receipt for the first question, as after a reorg, or never has."""

    def __init__(self, node: Node, *, reorganised: bool) -> None:
        self._node, self._reorganised, self._honest = node, reorganised, node.moved
        self.asked = 0

    def __call__(self, block: Block, txids: Collection[str]) -> set[str]:
        self.asked += 1
        if self.asked > 1 and self._reorganised:
            return self._honest(block, txids)
        if self._reorganised:
            self._node.reorg(1, mined_again=True)
        raise BadAnswer("the node has no receipt")


def test_a_reorg_between_a_block_and_its_receipts_is_no_lie(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person, blocks=1)
    receipts = Receipts(node, reorganised=True)
    monkeypatch.setattr(node, "moved", receipts)
    assert follower.step(now).blocks == 1
    assert (receipts.asked, cursor().trouble) == (2, "")
    assert Deposit.objects.get().block_hash == node.tip().hash


def test_without_a_reorg_it_is_one(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    pay(node, person, blocks=1)
    receipts = Receipts(node, reorganised=False)
    monkeypatch.setattr(node, "moved", receipts)
    with pytest.raises(BadAnswer, match="no receipt"):
        follower.step(now)
    assert (receipts.asked, Deposit.objects.count()) == (1, 0)


def test_far_from_the_tip_nobody_asks_what_was_dropped(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "MOST_BLOCKS", 4)
    asked: list[int] = []
    honest = node.waiting

    def waiting(txids: Collection[str]) -> set[str]:
        asked.append(cursor().height)
        return honest(txids)

    txid = node.send(address_of(person, "ETH"), ETHER // 10)
    follower.step(now)
    monkeypatch.setattr(node, "waiting", waiting)
    node.drop(txid)
    node.mine(10)
    while follower.step(now).lag > 0:
        assert Deposit.objects.get().state == "seen"
    assert asked == [0], "the first step did not know how far it was to the tip"
    follower.step(now)
    assert (asked, Deposit.objects.get().state) == ([0, 10], "dropped")

"""What the follower does with a node that lies, or that is read while its chain changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pytest

from ico import deposits, sightings
from ico.chains.base import BadAnswer, Block, ChainUnavailable
from ico.models import Deposit, Invitation
from tests.ico.following.node import Node, cursor, entries, pay


def test_a_missing_parent_is_named_and_nothing_is_taken_over(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    honest = node.blocks

    def orphans(heights: Sequence[int]) -> list[Block | None]:
        return [
            block and Block(block.height, block.hash, "0x" + "f" * 64, block.time, 0, 0, 1) if block else None
            for block in honest(heights)
        ]

    before = cursor()
    monkeypatch.setattr(node, "blocks", orphans)
    with pytest.raises(BadAnswer, match="missing parent: block 1 "):
        follower.step(now)
    assert cursor().trouble.startswith("missing parent: block 1 ")
    assert (cursor().height, cursor().block_hash) == (before.height, before.block_hash)
    assert not Deposit.objects.exists()


def test_a_block_that_calls_itself_another_height_is_named(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(2)
    honest = node.blocks

    def shifted(heights: Sequence[int]) -> list[Block | None]:
        found = honest(heights)
        return [b if b is None or b.height == 0 else Block(7, b.hash, b.parent, b.time, 0, 0, 1) for b in found]

    monkeypatch.setattr(node, "blocks", shifted)
    with pytest.raises(BadAnswer, match="block 1 calls itself 7"):
        follower.step(now)


def reorganised_before(node: Node, monkeypatch: pytest.MonkeyPatch, which: Iterable[int]) -> None:
    """The chain is reorganised just before these of the calls for more than one block."""
    honest, calls, times = node.blocks, iter(range(1_000)), set(which)

    def blocks(heights: Sequence[int]) -> list[Block | None]:
        if len(heights) > 1 and next(calls) in times:
            node.reorg(3, mined_again=True)
        return honest(heights)

    monkeypatch.setattr(node, "blocks", blocks)


def test_a_reorg_that_comes_while_it_is_read_is_looked_at_again(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(1)
    follower.step(now)
    pay(node, person, blocks=2)
    reorganised_before(node, monkeypatch, [0])  # the followed block 1 is given up between decision and fetching
    followed = follower.step(now)
    assert (followed.rewound, followed.lag) == (1, 0)
    assert cursor().block_hash == node.tip().hash
    assert Deposit.objects.get().block_hash == node.block_at(Deposit.objects.get().block_height or 0).hash  # type: ignore[union-attr]


def test_a_chain_that_never_stands_still_is_left_for_the_next_step(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(1)
    follower.step(now)
    node.mine(2)
    reorganised_before(node, monkeypatch, range(1_000))
    monkeypatch.setattr(sightings, "LOOKS", 1)
    before = cursor()
    with pytest.raises(ChainUnavailable, match="changed 1 times while it was read"):
        follower.step(now)
    assert cursor().block_hash == before.block_hash


def test_a_tip_that_falls_while_it_is_read_is_no_rewind(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    follower.step(now)
    node.mine(1)
    tip = node.tip()
    node.short = 2
    monkeypatch.setattr(node, "tip", lambda: tip)  # as it was a moment ago
    with pytest.raises(ChainUnavailable):
        follower.step(now)
    assert entries() == [30_000]

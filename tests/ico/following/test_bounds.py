"""A step asks few questions and takes in no more than it may."""

from __future__ import annotations

from datetime import datetime

import pytest

from ico import books, deposits, sightings
from ico.models import Deposit, Invitation
from tests.ico.following.node import DEPTH, ETHER, Node, entries, pay
from tests.ico.people import address_of


def test_a_step_of_many_blocks_asks_few_questions(node: Node, follower: deposits.Follower, now: datetime) -> None:
    node.mine(sightings.MOST_BLOCKS)
    node.asked.clear()
    assert follower.step(now).blocks == sightings.MOST_BLOCKS
    assert len(node.told("blocks")) == 2, "the newest followed one, and all that are new"
    assert len(node.told("transfers")) == sightings.MOST_BLOCKS // sightings.BLOCKS_AT_ONCE
    assert node.told("moved") == []


def test_a_deep_reorg_asks_few_questions(node: Node, follower: deposits.Follower, now: datetime) -> None:
    node.mine(150)
    follower.step(now)
    node.reorg(120, length=125)
    node.asked.clear()
    assert follower.step(now).rewound == 120
    assert len(node.told("blocks")) <= 18


def test_receipts_are_asked_for_only_of_what_pays_us(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    for _ in range(5):
        node.send("0x" + "1" * 40, ETHER)
    ours = pay(node, person, blocks=1)
    follower.step(now)
    assert node.told("moved") == [{ours}]


def test_a_step_takes_in_no_more_transfers_than_it_may(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "BLOCKS_AT_ONCE", 2)
    monkeypatch.setattr(sightings, "MOST_TRANSFERS", 5)
    for _ in range(8):
        node.send("0x" + "1" * 40, ETHER)
        pay(node, person, blocks=1)
    steps = [follower.step(now) for _ in range(3)]
    assert [(step.blocks, step.lag) for step in steps] == [(4, 4), (4, 0), (0, 0)]
    monkeypatch.setattr(sightings, "MOST_ARRIVALS", 3)
    for _ in range(8):
        pay(node, person, blocks=1)
    assert [follower.step(now).blocks for _ in range(4)] == [3, 3, 2, 0]
    assert Deposit.objects.filter(block_height__isnull=False).count() == 16


def test_waiting_deposits_are_asked_about_a_part_at_a_time(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ico.arrivals.CHUNK", 2)
    txids = [node.send(address_of(person, "ETH"), ETHER // 100) for _ in range(5)]
    follower.step(now)
    for txid in txids:
        node.drop(txid)
    left = []
    for _ in range(4):
        follower.step(now)
        left.append(Deposit.objects.filter(state="seen").count())
    assert left[-1] == 0
    assert all(before - after <= 2 for before, after in zip([5, *left], left, strict=False))


def test_a_step_books_no_more_than_it_may_and_says_that_more_is_due(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_AT_ONCE", 2)
    for _ in range(5):
        node.send(address_of(person, "ETH"), ETHER // 100)
    node.mine(DEPTH)
    steps = [follower.step(now) for _ in range(3)]
    assert [(step.lag, step.booked, step.is_unfinished) for step in steps] == [
        (0, 2, True),
        (0, 2, True),
        (0, 1, False),
    ]
    assert entries() == [3_000] * 5
    assert set(Deposit.objects.values_list("settled_at", "settled_tip", "settled_final")) == {(now, DEPTH, 1)}

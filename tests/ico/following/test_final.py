"""What counts as final on Ethereum, where its own finality is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ico import deposits
from ico.chains.base import BadAnswer
from ico.models import Deposit, Invitation
from tests.ico.following.node import DEPTH, Node, entries, pay


def test_ethereum_can_be_credited_by_its_own_finality(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: 0)
    pay(node, person, blocks=DEPTH + 5)
    follower.step(now)
    assert entries() == []
    monkeypatch.setattr(node, "final_height", lambda: 1)
    follower.step(now)
    assert entries() == [30_000]
    deposit = Deposit.objects.get()
    assert (deposit.settled_final, deposit.settled_tip) == (1, DEPTH + 5)


def test_a_node_that_knows_no_finality_is_not_credited_by_depth_instead(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: None)
    pay(node, person)
    with pytest.raises(BadAnswer, match="final"):
        follower.step(now)
    assert entries() == []


def test_a_node_that_calls_final_what_was_not_followed_credits_what_was(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: 10**9)
    pay(node, person, blocks=1)
    follower.step(now)
    assert Deposit.objects.get().settled_final == 1

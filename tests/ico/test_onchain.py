"""The audit holds the books against the chain, also while the node is behind, reorganises or says nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from config.audit import Evidence
from ico import deposits, money_invariants, onchain
from ico.chains.base import Block, ChainUnavailable
from ico.models import Deposit, Invitation, Sale
from tests.ico.following.node import DEPTH, ETHER, Node
from tests.ico.people import address_of, joined


@pytest.fixture(autouse=True)
def _depth(settings: Any) -> None:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": DEPTH}


@pytest.fixture
def person(sale: Sale, now: datetime) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def node(tmp_path: Path, person: Invitation, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node of a chain that is followed up to two blocks of depth above a credited payment."""
    found = Node(tmp_path / "eth.sqlite3")
    monkeypatch.setattr(deposits, "client_for", lambda chain: found)
    deposits.follow(chain="ETH", client=found, now=now)
    pays(found, person, now)
    return found


def pays(node: Node, person: Invitation, now: datetime) -> None:
    node.send(address_of(person, "ETH"), ETHER // 10)
    node.mine(DEPTH + 2)
    deposits.follow(chain="ETH", client=node, now=now)
    assert Deposit.objects.latest("pk").state == "credited"


def found(now: datetime) -> tuple[int, tuple[str, ...]]:
    finding = money_invariants.deposits_on_chain_once(Evidence(now=now))
    return finding.checked, finding.breaches


def test_a_node_that_is_behind_is_held_against_as_far_as_it_goes(node: Node, person: Invitation, now: datetime) -> None:
    pays(node, person, now)
    assert found(now) == (2, ())
    node.short = DEPTH + 2
    assert found(now) == (1, ())


def test_a_reorg_that_was_not_followed_yet_is_no_breach(node: Node, now: datetime) -> None:
    node.reorg(DEPTH + 2)
    assert found(now) == (0, ())


def test_a_follower_that_lags_is_no_breach(node: Node, person: Invitation, now: datetime) -> None:
    node.send(address_of(person, "ETH"), ETHER // 10)
    node.mine(5)
    assert found(now) == (1, ())


def test_a_follower_that_rewinds_after_the_last_look_is_no_breach(
    node: Node, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival stands exactly behind the last question to the node."""
    honest = onchain.is_there

    def then_a_reorg(client: Node, point: Any) -> bool:
        there = honest(client, point)
        client.reorg(DEPTH + 2)
        deposits.follow(chain="ETH", client=client, now=now)
        return there

    monkeypatch.setattr(money_invariants, "is_there", then_a_reorg)
    assert found(now) == (1, ())
    assert Deposit.objects.get().block_height is None


def test_a_reorg_while_it_is_read_is_read_again(node: Node, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, reorgs = onchain.transfers_to_us, [DEPTH + 2]

    def disturbed(chain: str, client: Node, *, last: int) -> Any:
        real = honest(chain, client, last=last)
        if reorgs:
            client.reorg(reorgs.pop())
            deposits.follow(chain="ETH", client=client, now=now)
        return real

    monkeypatch.setattr(money_invariants, "transfers_to_us", disturbed)
    assert found(now) == (0, ())
    assert reorgs == []


def test_without_the_second_look_a_reorg_would_be_a_breach(
    node: Node, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    real = onchain.transfers_to_us("ETH", node, last=node.tip().height)
    node.reorg(DEPTH + 2)
    deposits.follow(chain="ETH", client=node, now=now)
    assert money_invariants._held_against("ETH", real, money_invariants._booked("ETH", node.tip().height)) != []


def test_a_chain_that_never_stands_still_is_named(node: Node, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_invariants, "is_there", lambda client, point: False)
    (breach,) = found(now)[1]
    assert "reorganised 5 times" in breach


def test_another_chain_and_a_silent_node_are_named(
    node: Node, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Node(tmp_path / "other.sqlite3")
    monkeypatch.setattr(deposits, "client_for", lambda chain: other)
    (breach,) = found(now)[1]
    assert "none of the 6 ETH blocks that were followed is on the node's chain" in breach

    def gone(heights: Any) -> list[Block | None]:
        raise ChainUnavailable("nobody there")

    monkeypatch.setattr(other, "blocks", gone)
    (breach,) = found(now)[1]
    assert breach == "ETH could not be held against its chain: nobody there"


def test_the_chain_is_read_in_batches_from_where_following_began(
    tmp_path: Path, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onchain, "BLOCKS_AT_ONCE", 4)
    node = Node(tmp_path / "old.sqlite3", now=now.timestamp() - 90_000)
    node.mine(20, now=now.timestamp() - 80_000)
    person = joined(sale=sale, now=now)
    deposits.follow(chain="ETH", client=node, now=now)
    node.send(address_of(person, "ETH"), ETHER // 10)
    node.send("0x" + "1" * 40, ETHER)
    node.mine(9)
    deposits.follow(chain="ETH", client=node, now=now)
    node.asked.clear()
    assert len(onchain.transfers_to_us("ETH", node, last=29)) == 1
    assert node.told("blocks") == [[21, 22, 23, 24], [25, 26, 27, 28], [29]]
    assert [len(txids) for txids in node.told("moved")] == [1]

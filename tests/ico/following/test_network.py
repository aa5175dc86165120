"""Whether the node is on the right network, and where following begins there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico import deposits
from ico.chains.base import Block, ChainUnavailable, WrongChain
from ico.chains.rpc import RpcError
from ico.models import ChainCursor, Deposit, DepositAddress, FollowedBlock, Invitation, Sale
from tests.ico.following.node import DEPTH, ETHER, Node, cursor, entries, pay, unavailable
from tests.ico.people import address_of, joined


@pytest.fixture
def named(settings: Any) -> None:
    """Both chains are followed on nodes that the settings name."""
    settings.NODES = dict.fromkeys(("BTC", "ETH"), urlsplit("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("chain", "network", "right"),
    [
        ("BTC", "regtest", False),
        ("BTC", "test", False),
        ("BTC", "simulated", False),
        ("BTC", "main", True),
        ("ETH", "11155111", False),
        ("ETH", "simulated", False),
        ("ETH", "1", True),
    ],
)
def test_the_network_is_that_of_the_settings(
    chain: str,
    network: str,
    right: bool,
    named: None,
    tmp_path: Path,
    sale: Sale,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(tmp_path / "node.sqlite3", chain=chain)
    monkeypatch.setattr(node, "network", lambda: network)
    if right:
        deposits.follow(chain=chain, client=node, now=now)
        assert ChainCursor.objects.get(chain=chain).network == network
        return
    with pytest.raises(WrongChain, match=f"the node is on network {network}, the settings say"):
        deposits.follow(chain=chain, client=node, now=now)
    assert not FollowedBlock.objects.exists()
    assert ChainCursor.objects.get(chain=chain).trouble.startswith("the node is on network")


@pytest.mark.parametrize("network", ["1", "11155111"])
def test_where_no_node_is_named_only_a_simulated_chain_is_followed(
    network: str, node: Node, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(node, "network", lambda: network)
        with pytest.raises(WrongChain, match=f"on network {network}, the settings say simulated"):
            deposits.follow(chain="ETH", client=node, now=now)
    deposits.follow(chain="ETH", client=node, now=now)
    assert cursor().network == "simulated"


@pytest.mark.parametrize("began", ["simulated", ""])
def test_books_of_a_simulated_chain_do_not_go_on_on_a_real_one(
    began: str, named: None, node: Node, tmp_path: Path, sale: Sale, now: datetime, settings: Any
) -> None:
    """Also those from before the network was written down."""
    settings.NODES = {**settings.NODES, "ETH": None}
    deposits.follow(chain="ETH", client=node, now=now)
    ChainCursor.objects.update(network=began)
    settings.NODES = {**settings.NODES, "ETH": settings.NODES["BTC"]}
    other = Node(tmp_path / "real.sqlite3")
    other.network = lambda: "1"  # type: ignore[method-assign]
    with pytest.raises(WrongChain, match="the books began on simulated" if began else "genesis block"):
        deposits.follow(chain="ETH", client=other, now=now)


@pytest.mark.parametrize("network", ["test", "testnet4"])
def test_books_that_began_on_one_test_network_do_not_go_on_on_the_other(
    network: str,
    named: None,
    tmp_path: Path,
    sale: Sale,
    now: datetime,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.BTC_NETWORK = "testnet"
    node = Node(tmp_path / "node.sqlite3", chain="BTC")
    monkeypatch.setattr(node, "network", lambda: network)
    deposits.follow(chain="BTC", client=node, now=now)
    other = {"test": "testnet4", "testnet4": "test"}[network]
    monkeypatch.setattr(node, "network", lambda: other)
    with pytest.raises(WrongChain, match=f"network {other}, the books began on {network}"):
        deposits.follow(chain="BTC", client=node, now=now)


def test_the_network_is_asked_for_again_when_the_connection_was_lost(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(node, "network", unavailable)
        follower.step(now)  # it is not asked for again without a reason
    with monkeypatch.context() as patched:
        patched.setattr(node, "tip", unavailable)
        with pytest.raises(ChainUnavailable):
            follower.step(now)
    monkeypatch.setattr(node, "network", lambda: "1")  # another node answers there now
    with pytest.raises(WrongChain):
        follower.step(now)


def test_a_reorg_below_the_beginning_moves_the_beginning(tmp_path: Path, sale: Sale, now: datetime) -> None:
    node = Node(tmp_path / "old.sqlite3", now=now.timestamp() - 36_000)
    for hour in range(8):
        node.mine(1, now=now.timestamp() - 36_000 + hour * 3600)
    node.mine(1, now=now.timestamp())
    person = joined(sale=sale, now=now)
    deposits.follow(chain="ETH", client=node, now=now)
    start = cursor().start_height
    assert start == 9
    node.send(address_of(person, "ETH"), ETHER // 10)
    node.reorg(5, length=6, mined_again=True, now=now.timestamp())
    deposits.follow(chain="ETH", client=node, now=now)
    assert cursor().start_height == 1  # nothing between the genesis block and the beginning was kept
    assert Deposit.objects.count() == 1


def test_following_begins_on_a_node_that_threw_away_its_old_blocks(tmp_path: Path, sale: Sale, now: datetime) -> None:
    """As Ethereum nodes do with the blocks before the merge; the first one they keep."""

    class Pruned(Node):
        def blocks(self, heights: Sequence[int]) -> list[Block | None]:
            if any(0 < height <= 60 for height in heights):
                raise RpcError(4444, "pruned history unavailable")
            return super().blocks(heights)

    node = Pruned(tmp_path / "old.sqlite3", now=now.timestamp() - 101 * 3600)
    for hour in range(100, 0, -1):
        node.mine(1, now=now.timestamp() - hour * 3600)
    person = joined(sale=sale, now=now)
    follower = deposits.Follower(node)
    follower.step(now)
    assert cursor().start_height == 99  # mined two hours ago, which is how wrong a miner's clock may be
    pay(node, person)
    follower.step(now)
    assert entries() == [30_000]
    with pytest.raises(RpcError):  # the negative control: these blocks are really gone
        node.blocks([60])


def test_what_arrives_at_an_address_that_nobody_was_given_is_no_deposit(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    ahead = DepositAddress.objects.create(chain="ETH", index=10_000, address="0x" + "Ab" * 20)
    node.send(ahead.address, ETHER)
    node.mine(DEPTH)
    follower.step(now)
    assert node.balances([ahead.address]).amounts == (ETHER,)
    assert not Deposit.objects.exists()

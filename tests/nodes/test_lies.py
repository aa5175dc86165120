"""The follower and a real node that lies: each lie is named beside the cursor, what was followed is kept, nothing is
credited; and as soon as the node is honest again, everything is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico.chains.base import BadAnswer, ChainBusy, ChainUnavailable, NodeBehind, WrongChain
from ico.chains.ethereum import EthereumNode
from ico.chains.rpc import Rpc, RpcError
from ico.deposits import Follower
from ico.models import Sale
from tests.ico.people import address_of, joined
from tests.nodes import anvil, lied_to, lying
from tests.nodes.anvil import ETHER, Anvil
from tests.nodes.lying import Liar

pytestmark = [pytest.mark.process, pytest.mark.django_db]

AMOUNT = ETHER // 100
BLOCK = "eth_getBlockByHash"  # the one with whole transactions
HEADER = "eth_getBlockByNumber"


def _spoiled(name: str, value: Any) -> lying.Lie:
    def by(block: lying.Object, parameters: list[Any]) -> lying.Object:
        return {**block, "transactions": [{**one, name: value} for one in block["transactions"]]}

    return lying.changed(BLOCK, by=by)


LIES: dict[str, tuple[lying.Lie, type[Exception], str]] = {
    "missing parent": (lying.missing_parent, BadAnswer, "missing parent: block "),
    "no parent": (lying.no_parent_named, BadAnswer, "the parent of the newest block is no hash"),
    "no hash": (lying.block_without_hash, BadAnswer, "the hash of the newest block is no hash: 'None'"),
    "80 digits": (lying.height_of_80_digits, BadAnswer, "the number of the newest block cannot be '9999"),
    "80 digits as a number": (lying.height_as_a_number, BadAnswer, "the number of the newest block cannot be '9999"),
    "80 digits of wei": (_spoiled("value", "9" * 80), BadAnswer, "the value of 0x"),
    "more wei than there are": (_spoiled("value", "0x" + "f" * 64), BadAnswer, "the value of 0x"),
    "no receiver": (_spoiled("to", "somebody"), BadAnswer, "pays 'somebody', which is no address"),
    "another block": (lying.with_field("hash", lying.NOWHERE, BLOCK), BadAnswer, "the node answered with 0xdede"),
    "no transactions": (lying.transactions_not_a_list, BadAnswer, "is no list"),
    "no receipts": (lying.no_receipts, BadAnswer, "the node has no receipt of 0x"),
    "other receipts": (lying.receipts_of_another_block, BadAnswer, "is of '0xdede"),
    "half a batch": (lying.of_many(lying.half_a_batch, HEADER), BadAnswer, "4 calls have 2 answers"),
    "swapped blocks": (
        lying.of_many(lying.ids_swapped, HEADER),
        BadAnswer,
        r"block at (\d+), .* answered with that at",
    ),
    "swapped ids": (lying.ids_swapped, BadAnswer, "the newest block is no object: 'False'"),
    "doubled ids": (lying.ids_doubled, BadAnswer, "two answers have the same id"),
    "no JSON": (lying.not_json, BadAnswer, "the answer is not JSON"),
    "endless": (lying.endless, BadAnswer, "more than 1000000 bytes"),
    "silence": (lying.hangs, ChainUnavailable, "did not answer within"),
    "a word a second": (lying.head_drips, ChainUnavailable, "did not answer within"),
    "too many questions": (lying.asked_too_much, ChainBusy, "asked less often"),
    "wrong password": (lying.wrong_password, ChainUnavailable, "refused the credentials"),
    "out of order": (lying.broken, ChainUnavailable, "HTTP 500"),
    "another chain id": (lying.other_chain_id, WrongChain, "the node is on network 1"),
    "another genesis": (lying.other_genesis, WrongChain, "genesis block"),
    "syncing": (lying.syncing, NodeBehind, "syncing"),
    "a page's code": (lying.error(-1, "<script>\x1b[31m\u202e" + "x" * 9_999), RpcError, r"<script>\\x1b\[31m\\u202e"),
}
WHEN_CONNECTED = ("another chain id", "another genesis")  # what is asked only then
SLOW = ("silence", "a word a second")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Anvil]:
    with anvil.running(tmp_path) as running:
        yield running


@pytest.fixture
def liar(node: Anvil, settings: Any) -> Iterator[Liar]:
    settings.ETH_CHAIN_ID = node.chain_id
    settings.NODES = {**settings.NODES, "ETH": urlsplit(node.url)}
    settings.CONFIRMATIONS = {**settings.CONFIRMATIONS, "ETH": 2}
    with lying.before(node.url) as between:
        yield between


def follower(liar: Liar, *, seconds: float = 20) -> Follower:
    """As a new process has it: with its first step it asks which chain it is."""
    return Follower(EthereumNode(Rpc(urlsplit(liar.url), seconds=seconds, most_bytes=10**6)))


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_named_and_changes_nothing(name: str, node: Anvil, liar: Liar, sale: Sale, now: datetime) -> None:
    lie, kind, named = LIES[name]
    address = address_of(joined(sale=sale, now=now), "ETH")
    following = follower(liar)
    following.step(now)
    node.send(node.accounts()[0], address, AMOUNT)
    node.mine()
    following.step(now)
    node.send(node.accounts()[0], address, AMOUNT)
    node.mine(4)

    liar.lie = lie
    # Only who meets a slow node is impatient: the machine may be slow too.
    deceived = follower(liar, seconds=1 if name in SLOW else 20) if name in (*WHEN_CONNECTED, *SLOW) else following
    lied_to.must_be_named(lambda: deceived.step(now), kind, named, chain="ETH")

    liar.lie = None
    lied_to.must_be_followed(lambda: following.step(now), chain="ETH", height=node.height(), credited=2)
    assert node.balance(address) == 2 * AMOUNT

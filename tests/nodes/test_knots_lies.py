"""The same on Bitcoin: each lie of a real node is named, changes nothing, and is over when the node is honest again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico.chains.base import BadAnswer, ChainUnavailable, NodeBehind, WrongChain
from ico.chains.bitcoin import BitcoinNode
from ico.chains.rpc import Rpc
from ico.deposits import Follower
from ico.models import Sale
from tests.ico.people import address_of, joined
from tests.nodes import lied_to, lying
from tests.nodes.knots_player import KnotsPlayer
from tests.nodes.lying import Liar

pytestmark = [pytest.mark.process, pytest.mark.django_db]

AMOUNT = 50_000  # satoshi
NOWHERE = "de" * 32


def _output(name: str, value: Any) -> lying.Lie:
    """Of the last transaction in each block."""

    def by(block: lying.Object, parameters: list[Any]) -> lying.Object:
        block["tx"][-1]["vout"][0][name] = value
        return block

    return lying.changed("getblock", by=by)


LIES: dict[str, tuple[lying.Lie, type[Exception], str]] = {
    "missing parent": (
        lying.with_field("previousblockhash", NOWHERE, "getblockheader"),
        BadAnswer,
        "missing parent: block ",
    ),
    "half a batch": (lying.of_many(lying.half_a_batch, "getblockhash"), BadAnswer, "4 calls have 2 answers"),
    "swapped ids": (
        lying.of_many(lying.ids_swapped, "getblockheader"),
        BadAnswer,
        "asked for block [0-9a-f]{64}, the node answered with",
    ),
    "another block": (lying.with_field("hash", NOWHERE, "getblock"), BadAnswer, f"answered with '{NOWHERE}'"),
    "more coins than there are": (_output("value", 21_000_001), BadAnswer, "cannot be '21000001' BTC"),
    "no transactions": (lying.with_field("tx", [], "getblock"), BadAnswer, "is said to hold no transaction"),
    "another network": (lying.with_field("chain", "main", "getblockchaininfo"), WrongChain, "on network main"),
    "a play": (lying.with_field("chain", "simulated", "getblockchaininfo"), WrongChain, "on network simulated"),
    "no word": (
        lying.with_field("chain", "regtest\n<script>", "getblockchaininfo"),
        BadAnswer,
        r"the name of the node's network cannot be 'regtest\\n<script>'",
    ),
    "blocks to come": (lying.with_field("headers", 999_999, "getblockchaininfo"), NodeBehind, "blocks of 999999"),
    "silence": (lying.hangs, ChainUnavailable, "did not answer within"),
}
WHEN_CONNECTED = ("another network", "a play", "no word", "silence")


@pytest.fixture
def liar(knots_player: KnotsPlayer, settings: Any) -> Iterator[Liar]:
    settings.CONFIRMATIONS = {**settings.CONFIRMATIONS, "BTC": 2}
    with lying.before(knots_player.node.url) as between:
        yield between


def follower(liar: Liar, *, seconds: float = 20) -> Follower:
    return Follower(BitcoinNode(Rpc(urlsplit(liar.url), seconds=seconds)))


@pytest.fixture
def address(sale: Sale, now: datetime) -> str:
    return address_of(joined(sale=sale, now=now), "BTC")


def test_each_lie_is_named_and_changes_nothing(
    knots_player: KnotsPlayer, liar: Liar, address: str, now: datetime
) -> None:
    """One after the other: a node takes seconds to start, and what is to be credited waits until the end."""
    following = follower(liar)
    following.step(now)
    knots_player.pay([(address, AMOUNT)])
    knots_player.mine()
    following.step(now)
    knots_player.pay([(address, AMOUNT)])
    knots_player.mine(4)

    for name, (lie, kind, named) in LIES.items():
        liar.lie = lie
        seconds = 1 if lie is lying.hangs else 20
        deceived = follower(liar, seconds=seconds) if name in WHEN_CONNECTED else following
        lied_to.must_be_named(lambda: deceived.step(now), kind, named, chain="BTC")  # noqa: B023 (called at once)

    liar.lie = None
    lied_to.must_be_followed(lambda: following.step(now), chain="BTC", height=knots_player.height(), credited=2)
    assert knots_player.held([address]) == 2 * AMOUNT

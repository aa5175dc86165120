"""A real Bitcoin node whose answers are spoiled on their way: each lie is named, and nothing of it is taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico.chains.base import BadAnswer, Block, ChainBusy, ChainError, ChainUnavailable, NodeBehind
from ico.chains.bitcoin import BitcoinNode
from ico.chains.rpc import Rpc
from tests.nodes import lying
from tests.nodes.knots import Knots, knots
from tests.nodes.lying import Liar, Lie

pytestmark = pytest.mark.process

NOWHERE = "de" * 32


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knots]:
    with knots(tmp_path_factory.mktemp("bitcoin")) as running:
        running.mine(103)
        running.send(running.address(), 123_456)
        running.mine()
        running.send(running.address(), 234_567)
        yield running


@pytest.fixture(scope="module")
def liar(node: Knots) -> Iterator[Liar]:
    with lying.before(node.url) as between:
        yield between


@pytest.fixture
def client(liar: Liar) -> Iterator[BitcoinNode]:
    """Of an honest node, until a test says what it lies about."""
    yield BitcoinNode(Rpc(urlsplit(liar.url), seconds=30))
    liar.lie = None


# What a follower asks. The newest block is one that the test knows, so that each lie meets the question it is about.


def network(client: BitcoinNode, newest: Block) -> Any:
    return client.network()


def tip(client: BitcoinNode, newest: Block) -> Any:
    return client.tip()


def blocks(client: BitcoinNode, newest: Block) -> Any:
    return client.blocks([102, 103, 104, 105])


def transfers(client: BitcoinNode, newest: Block) -> Any:
    return client.transfers([newest])


def moved(client: BitcoinNode, newest: Block) -> Any:
    return client.moved(newest, [NOWHERE])


def appeared(client: BitcoinNode, newest: Block) -> Any:
    return client.appeared()


def waiting(client: BitcoinNode, newest: Block) -> Any:
    return client.waiting([NOWHERE])


def balances(client: BitcoinNode, newest: Block) -> Any:
    return client.balances(["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"])


def test_between_an_honest_node_and_us_nothing_is_changed(node: Knots, client: BitcoinNode) -> None:
    """The negative control of all that follows."""
    newest = client.tip()
    direct = BitcoinNode(Rpc(urlsplit(node.url), seconds=30))
    for ask in (network, tip, blocks, transfers, appeared, waiting, balances):
        assert ask(client, newest) == ask(direct, newest)


def _first_output(name: str, value: Any) -> Lie:
    def spoil(block: Any, parameters: list[Any]) -> Any:
        block["tx"][0]["vout"][0][name] = value
        return block

    return lying.changed("getblock", by=spoil)


def _a_transaction(**fields: Any) -> Lie:
    return lying.changed("getrawtransaction", by=lambda told, parameters: {**told, **fields})


def _always(value: Any, *methods: str) -> Lie:
    return lying.changed(*methods, by=lambda told, parameters: value)


@pytest.mark.parametrize(
    ("ask", "lie", "error", "named"),
    [
        (network, lying.with_field("chain", None, "getblockchaininfo"), BadAnswer, "network"),
        (network, _always([], "getblockchaininfo"), BadAnswer, "state of the node"),
        (tip, lying.with_field("initialblockdownload", True, "getblockchaininfo"), None, ""),  # said of regtest
        (tip, lying.with_field("headers", 108, "getblockchaininfo"), NodeBehind, "104 blocks of 108"),
        (tip, lying.with_field("headers", 107, "getblockchaininfo"), None, ""),
        (tip, lying.with_field("blocks", "9" * 80, "getblockchaininfo"), BadAnswer, "height of the tip"),
        (tip, lying.with_field("blocks", int("9" * 80), "getblockchaininfo"), BadAnswer, "height of the tip"),
        (tip, lying.with_field("blocks", 103, "getblockchaininfo"), BadAnswer, "its header says 104"),
        (tip, lying.with_field("bestblockhash", None, "getblockchaininfo"), BadAnswer, "hash of the tip"),
        (tip, lying.with_field("bestblockhash", NOWHERE, "getblockchaininfo"), ChainUnavailable, "not found"),
        (tip, lying.without_field("previousblockhash", "getblockheader"), BadAnswer, "parent"),
        (tip, lying.without_field("hash", "getblockheader"), BadAnswer, "answered with 'None'"),
        (tip, lying.half_a_batch, BadAnswer, "1 calls have 0 answers"),
        (blocks, _always(None, "getblockhash"), BadAnswer, "nothing to getblockhash"),
        (blocks, _always("", "getblockhash"), BadAnswer, "hash of block 102"),
        (blocks, _always("0" * 80, "getblockhash"), BadAnswer, "hash of block 102"),
        (blocks, lying.with_field("height", 12, "getblockheader"), BadAnswer, "its header says 12"),
        (blocks, lying.with_field("hash", NOWHERE, "getblockheader"), BadAnswer, NOWHERE),
        (blocks, lying.with_field("time", "9" * 80, "getblockheader"), BadAnswer, "time of block"),
        (blocks, lying.half_a_batch, BadAnswer, "4 calls have 2 answers"),
        (transfers, lying.without_field("hash", "getblock"), BadAnswer, "answered with 'None'"),
        (transfers, lying.with_field("tx", [], "getblock"), BadAnswer, "no transaction"),
        (transfers, lying.with_field("tx", {"0": 1}, "getblock"), BadAnswer, "list of transactions"),
        (transfers, lying.with_field("nTx", "9" * 80, "getblockheader"), BadAnswer, "number of transactions"),
        (transfers, _first_output("value", "9" * 80), BadAnswer, "output 0"),
        (transfers, _first_output("value", int("9" * 80)), BadAnswer, "output 0"),
        (transfers, _first_output("value", -0.5), BadAnswer, "output 0"),
        (transfers, _first_output("value", 0.123456789), BadAnswer, "places"),
        (transfers, _first_output("n", 1), BadAnswer, "output 0"),
        (transfers, _first_output("scriptPubKey", {"address": "<b>x</b>"}), BadAnswer, "no address"),
        (moved, lying.with_field("tx", [NOWHERE], "getblock"), None, ""),  # who says so must be believed
        (moved, lying.with_field("tx", ["x"], "getblock"), BadAnswer, "no hash"),
        (moved, lying.with_field("nothing", 0, "getblock"), BadAnswer, NOWHERE),
        (appeared, _always({"a": 1}, "getrawmempool"), BadAnswer, "in the mempool"),
        (appeared, _always(["../../etc"], "getrawmempool"), BadAnswer, "in the mempool"),
        (appeared, _always([NOWHERE], "getrawmempool"), None, ""),  # it has left in between
        (appeared, _a_transaction(txid=NOWHERE), BadAnswer, NOWHERE),
        (appeared, _a_transaction(vout="x"), BadAnswer, "outputs"),
        (waiting, lying.with_field("loaded", False, "getmempoolinfo"), NodeBehind, "loading its mempool"),
        (waiting, lying.with_field("txindex", 5, "getindexinfo"), BadAnswer, "state of the index"),
        (waiting, _always([], "getindexinfo"), BadAnswer, "indexes"),
        (waiting, _always(None, "getmempoolinfo"), BadAnswer, "nothing to getmempoolinfo"),
        (balances, lying.with_field("success", False, "scantxoutset"), BadAnswer, "end"),
        (balances, lying.with_field("bestblock", NOWHERE, "scantxoutset"), ChainUnavailable, "not found"),
        (balances, lying.error(-8, "Scan already in progress"), ChainBusy, "scanning"),
        (tip, lying.error(-28, "Loading block index\u2026"), ChainUnavailable, "Loading"),
        (tip, lying.error(-1, "Block not available (pruned data)"), ChainUnavailable, "pruned"),
    ],
)
def test_a_lie_is_named(
    ask: Callable[[BitcoinNode, Block], Any],
    lie: Lie,
    error: type[ChainError] | None,
    named: str,
    client: BitcoinNode,
    liar: Liar,
) -> None:
    newest = client.tip()
    liar.lie = lie
    if error is None:
        ask(client, newest)
        return
    with pytest.raises(error, match=named) as raised:
        ask(client, newest)
    assert str(raised.value).isprintable()
    assert "@" not in str(raised.value)  # no address with its password


def test_after_a_lie_about_the_mempool_nothing_of_it_is_lost(liar: Liar, client: BitcoinNode, node: Knots) -> None:
    liar.lie = _a_transaction(vout="x")
    with pytest.raises(BadAnswer):
        client.appeared()
    liar.lie = None
    assert {transfer.txid for transfer in client.appeared()} == set(node.rpc("getrawmempool"))


@pytest.mark.parametrize("name", ["", "Main", "main\nregtest", "x" * 33, "<b>", 5, None])
def test_the_name_of_a_network_is_a_short_word(name: Any, liar: Liar, client: BitcoinNode) -> None:
    liar.lie = lying.with_field("chain", name, "getblockchaininfo")
    with pytest.raises(BadAnswer, match="the name of the node's network cannot be") as raised:
        client.network()
    assert str(raised.value).isprintable()


def test_confirmations_that_are_no_number_are_named(liar: Liar, client: BitcoinNode, node: Knots) -> None:
    [mined] = client.transfers([client.tip()])
    txids = {transfer.txid for transfer in mined}
    assert client.waiting(txids) == txids
    for wrong in ("12", None, -1, True, 1.5):
        liar.lie = _a_transaction(confirmations=wrong)
        with pytest.raises(BadAnswer, match="the confirmations of"):
            client.waiting(txids)


@pytest.mark.parametrize("network", ["main", "test", "testnet4", "signet"])
def test_on_other_networks_the_nodes_word_that_it_is_syncing_counts(
    network: str, liar: Liar, client: BitcoinNode
) -> None:
    def syncing(state: Any, parameters: list[Any]) -> Any:
        return {**state, "chain": network, "initialblockdownload": True}

    liar.lie = lying.changed("getblockchaininfo", by=syncing)
    with pytest.raises(NodeBehind):
        client.tip()
    liar.lie = lying.with_field("chain", network, "getblockchaininfo")
    assert client.tip().height == 104

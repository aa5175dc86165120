"""The client of an Ethereum node with a real one, anvil, behind a proxy that lies when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico.chains import ethereum, load
from ico.chains.base import BadAnswer, ChainUnavailable, GaugedClient, NodeBehind, Transfer
from ico.chains.ethereum import EthereumNode
from ico.chains.rpc import Rpc, RpcError
from tests.nodes import anvil, lying
from tests.nodes.anvil import ETHER, GWEI, Anvil
from tests.nodes.lying import Liar

pytestmark = pytest.mark.process

US = "0x" + "5a" * 20
REVERTS = "0x6460006000fd6000526005601bf3"  # makes a contract that refuses everything


@pytest.fixture(scope="module")
def anvil_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil.running(tmp_path_factory.mktemp("anvil")) as running:
        running.mine(3)
        yield running


@pytest.fixture
def node(anvil_of_the_module: Anvil) -> Iterator[Anvil]:
    """With an empty mempool, whatever the test before left."""
    yield anvil_of_the_module
    anvil_of_the_module.ask("anvil_dropAllTransactions")


@pytest.fixture
def liar(node: Anvil) -> Iterator[Liar]:
    with lying.before(node.url) as between:
        yield between


@pytest.fixture
def client(liar: Liar) -> EthereumNode:
    return EthereumNode(Rpc(urlsplit(liar.url), seconds=20))


def paid(node: Anvil, amount: int = 5, *, to: str = US) -> str:
    """In a block of its own."""
    txid = node.send(node.accounts()[0], to, amount)
    node.mine()
    return txid


def test_it_is_a_gauged_client(client: EthereumNode) -> None:
    gauged: GaugedClient = client
    assert gauged.chain == "ETH"
    assert gauged.network() == "31337"


def test_a_contract_that_is_made_pays_nobody(node: Anvil, client: EthereumNode) -> None:
    made = node.send(node.accounts()[1], None, 0, gas=200_000, data=REVERTS)
    txid = paid(node)
    block = client.tip()
    assert node.ask("eth_getTransactionReceipt", made)["blockHash"] == block.hash
    assert client.transfers([block]) == [[Transfer(txid, 0, US, 5)]]


def test_what_failed_is_in_the_block_and_moved_nothing(node: Anvil, client: EthereumNode) -> None:
    made = node.send(node.accounts()[1], None, 0, gas=200_000, data=REVERTS)
    node.mine()
    contract = node.ask("eth_getTransactionReceipt", made)["contractAddress"]
    failed = node.send(node.accounts()[1], contract, 7, gas=60_000)
    good = paid(node)
    block = client.tip()
    assert {t.txid: (t.address, t.amount) for t in client.transfers([block])[0]} == {
        failed: (contract, 7),
        good: (US, 5),
    }
    assert client.moved(block, {failed, good}) == {good}
    assert node.balance(contract) == 0


def test_the_finalized_block_follows_the_tip(node: Anvil, client: EthereumNode) -> None:
    node.mine(5)
    assert client.final_height() == client.tip().height - 2  # two epochs of one slot each


def test_a_node_that_knows_no_finalized_block_is_named(client: EthereumNode, liar: Liar) -> None:
    def unknown(calls: list[lying.Object], answers: list[lying.Object]) -> list[lying.Object]:
        error = {"code": -39001, "message": "finalized block not found"}
        return [{"id": answers[0]["id"], "error": error}, *answers[1:]]

    liar.lie = unknown
    with pytest.raises(BadAnswer, match=r"does not know which block is finalized .*finalized block not found"):
        client.final_height()
    liar.lie = lambda calls, answers: [{"id": answers[0]["id"], "result": None}, *answers[1:]]
    with pytest.raises(BadAnswer, match=r"does not know which block is finalized$"):
        client.final_height()
    tags = {parameters[0] for method, parameters in liar.calls if method == "eth_getBlockByNumber"}
    assert tags == {"finalized", "latest"}  # never "safe"


def test_a_finalized_block_above_the_tip_is_named(client: EthereumNode, liar: Liar) -> None:
    def ahead(block: Any, parameters: list[Any]) -> Any:
        return {**block, "number": "0xffff"} if parameters[0] == "finalized" else block

    liar.lie = lying.changed("eth_getBlockByNumber", by=ahead)
    with pytest.raises(BadAnswer, match="the finalized block is said to be 65535"):
        client.final_height()


def test_a_block_that_was_reorganised_away_is_asked_for_later(node: Anvil, client: EthereumNode) -> None:
    paid(node)
    block = client.tip()
    node.reorg(1)
    with pytest.raises(ChainUnavailable, match="has forgotten block"):
        client.transfers([block])
    with pytest.raises(BadAnswer, match="no receipt"):
        client.moved(block, ["0x" + "a" * 64])


def test_without_a_pending_block_nothing_appears(node: Anvil, client: EthereumNode, liar: Liar) -> None:
    node.send(node.accounts()[0], US, 5)
    liar.lie = lying.changed("eth_getBlockByNumber", by=lambda block, parameters: None)
    assert client.appeared() == []
    liar.lie = lying.error(-32601, "pending is not available")
    assert client.appeared() == []
    liar.lie = None
    assert len(client.appeared()) == 1


def test_what_left_the_pending_block_is_forgotten(node: Anvil, client: EthereumNode) -> None:
    txid = node.send(node.accounts()[0], US, 5)
    assert [t.txid for t in client.appeared()] == [txid]
    raw = node.ask("eth_getRawTransactionByHash", txid)
    node.drop(txid)
    assert client.appeared() == []
    node.ask("eth_sendRawTransaction", raw)
    assert [t.txid for t in client.appeared()] == [txid]
    node.mine()
    assert client.appeared() == []


def test_the_gauge_reads_what_the_chain_does(node: Anvil, client: EthereumNode) -> None:
    node.set_base_fee(40 * GWEI)
    node.mine()
    for sender in node.accounts()[:3]:
        node.send(sender, US, 1, fee=90 * GWEI, tip=3 * GWEI)
    node.mine()
    node.mine()
    tip = client.tip()
    history = client.fee_history(3)
    assert (len(history.gas_used_ratios), len(history.base_fees), len(history.tips)) == (3, 4, 3)
    assert history.gas_used_ratios == (0.0, 3 * 21_000 / tip.gas_limit, 0.0)
    assert history.tips == (0, 3 * GWEI, 0)
    assert history.newest_at == tip.time
    blocks = [block for block in client.blocks(range(tip.height - 2, tip.height + 1)) if block]
    assert list(history.base_fees[:3]) == [block.base_fee for block in blocks]
    assert history.base_fees[3] == load.next_base_fee(tip.base_fee, gas_used=tip.gas_used, gas_limit=tip.gas_limit)
    assert load.read(client, now=tip.time).base_fee == history.base_fees[3]


def test_a_young_chain_has_a_gauge(tmp_path_factory: pytest.TempPathFactory) -> None:
    with anvil.running(tmp_path_factory.mktemp("young")) as young:
        young_client = EthereumNode(Rpc(urlsplit(young.url)))
        history = young_client.fee_history(20)
        assert (history.gas_used_ratios, len(history.base_fees), history.tips) == ((0.0,), 2, (0,))
        assert load.read(young_client, now=history.newest_at).ratio == 0
        assert young_client.final_height() == 0


def test_balances_are_of_one_block(node: Anvil, client: EthereumNode, liar: Liar) -> None:
    somebody = "0x" + "77" * 20
    paid(node, 10 * ETHER + 1, to=somebody)

    def meanwhile(balance: Any, parameters: list[Any]) -> Any:
        liar.lie = None
        paid(node, 1, to=somebody)
        return balance

    before = client.tip()
    liar.lie = lying.changed("eth_getBlockByNumber", by=meanwhile)
    found = client.balances([somebody, US.replace("5a", "11")])
    assert (found.block, found.amounts) == (before, (10 * ETHER + 1, 0))
    assert client.balances([somebody]).amounts == (10 * ETHER + 2,)


def test_blocks_are_asked_for_in_parts_that_can_be_answered(
    node: Anvil, client: EthereumNode, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    txids = [paid(node) for _ in range(5)]
    tip = client.tip().height
    blocks = [block for block in client.blocks(range(tip - 4, tip + 1)) if block]
    monkeypatch.setattr(ethereum, "GAS_AT_ONCE", 2 * 21_000)
    liar.requests = 0
    assert [t.txid for found in client.transfers(blocks) for t in found] == txids
    assert liar.requests == 3
    monkeypatch.setattr(ethereum, "GAS_AT_ONCE", 1)  # a block that is larger still comes, alone
    assert len(client.transfers(blocks)) == 5
    assert liar.requests == 8


Ask = Callable[[EthereumNode], Any]


def a_transfer(client: EthereumNode) -> Any:
    return client.transfers([client.tip()])


def two_blocks(client: EthereumNode) -> Any:
    return client.blocks([1, 2])


def a_receipt(client: EthereumNode) -> Any:
    tip = client.tip()
    return client.moved(tip, {transfer.txid for transfer in client.transfers([tip])[0]})


LIES: list[tuple[lying.Lie, Ask, str]] = [
    (lying.no_parent_named, EthereumNode.tip, "the parent of the newest block is no hash: 'None'"),
    (lying.block_without_hash, two_blocks, "the hash of block 1 is no hash: 'None'"),
    (lying.height_of_80_digits, EthereumNode.tip, "the number of the newest block cannot be '99999"),
    (lying.height_as_a_number, two_blocks, "the number of block 1 cannot be '99999"),
    (lying.another_height, two_blocks, "asked for the block at 1, the node answered with that at 12345"),
    (lying.ids_swapped, two_blocks, "asked for the block at 1, the node answered with that at 2"),
    (lying.half_a_batch, two_blocks, "2 calls have 1 answers"),
    (lying.transactions_not_a_list, a_transfer, "the list of transactions in block .* is no list"),
    (lying.with_field("hash", lying.NOWHERE, "eth_getBlockByHash"), a_transfer, "the node answered with 0xdede"),
    (lying.with_field("parentHash", lying.NOWHERE, "eth_getBlockByHash"), a_transfer, "asked for block"),
    (lying.no_receipts, a_receipt, "the node has no receipt of"),
    (lying.receipts_of_another_block, a_receipt, "the receipt of .* is of '0xdede"),
    (lying.without_field("status", "eth_getTransactionReceipt"), a_receipt, "the status of"),
    (lying.changed("eth_chainId", by=lambda told, parameters: "9" * 80), EthereumNode.network, "the chain id cannot"),
    (
        lying.without_field("reward", "eth_feeHistory"),
        lambda client: client.fee_history(1),
        "the list of tips is no list: 'None'",
    ),
    (
        lying.changed("eth_getBalance", by=lambda told, parameters: "0x" + "f" * 64),
        lambda client: client.balances([US]),
        f"the balance of {US} cannot be",
    ),
]


@pytest.mark.parametrize(("lie", "ask", "named"), LIES)
def test_a_lie_is_named(node: Anvil, client: EthereumNode, liar: Liar, lie: lying.Lie, ask: Ask, named: str) -> None:
    paid(node)
    truth = ask(client)
    liar.lie = lie
    with pytest.raises(BadAnswer, match=named):
        ask(client)
    liar.lie = None
    assert ask(client) == truth


def test_a_syncing_node_is_behind(client: EthereumNode, liar: Liar) -> None:
    liar.lie = lying.syncing
    with pytest.raises(NodeBehind, match=r"syncing: .*highestBlock"):
        client.tip()


def test_what_the_client_cannot_know_is_for_the_follower(client: EthereumNode, liar: Liar) -> None:
    liar.lie = lying.other_chain_id
    assert client.network() == "1"
    liar.lie = lying.other_genesis
    assert [block.hash for block in client.blocks([0]) if block] == [lying.NOWHERE]
    liar.lie = lying.missing_parent
    assert client.tip().parent == lying.NOWHERE


def test_an_error_of_the_node_is_an_error_of_the_chain(client: EthereumNode, liar: Liar) -> None:
    liar.lie = lying.error(-32000, "missing trie node")
    for ask in (EthereumNode.tip, two_blocks, EthereumNode.network):
        with pytest.raises(RpcError, match="missing trie node"):
            ask(client)

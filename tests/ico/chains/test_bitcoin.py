"""The Bitcoin client on a real node: what it says of blocks, mempool, reorgs and balances is what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ico.chains import bitcoin, bitcoin_mempool, hd
from ico.chains.base import BadAnswer, Block, ChainClient, ChainUnavailable, NodeBehind, Transfer
from ico.chains.bitcoin import BitcoinNode
from ico.chains.rpc import Rpc
from tests.nodes.knots import COIN, Knots, knots

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knots]:
    with knots(tmp_path_factory.mktemp("bitcoin")) as running:
        running.mine(110)
        yield running


@pytest.fixture
def client(node: Knots) -> BitcoinNode:
    return asking(node)


def asking(node: Knots) -> BitcoinNode:
    return BitcoinNode(Rpc(urlsplit(node.url), seconds=30))


def block_at(client: BitcoinNode, height: int) -> Block:
    block = client.blocks([height])[0]
    assert block is not None
    return block


def paid_to(address: str, transfers: list[Transfer]) -> list[Transfer]:
    return [transfer for transfer in transfers if transfer.address == address]


def test_the_node_says_which_chain_it_follows_and_where_it_is(node: Knots, client: BitcoinNode) -> None:
    seam: ChainClient = client
    assert (seam.chain, seam.network(), seam.final_height()) == ("BTC", "regtest", None)
    tip = client.tip()
    told = node.rpc("getblockheader", node.rpc("getbestblockhash"))
    assert tip == Block(told["height"], told["hash"], told["previousblockhash"], told["time"], 0, 0, 0)


def test_blocks_hang_together_from_the_first_to_the_tip(client: BitcoinNode) -> None:
    tip = client.tip()
    blocks = client.blocks(range(tip.height + 3))
    assert blocks[-2:] == [None, None]
    chain = [block for block in blocks if block]
    assert [block.height for block in chain] == list(range(tip.height + 1))
    assert chain[0].parent == "0" * 64
    assert [block.parent for block in chain[1:]] == [block.hash for block in chain[:-1]]
    assert chain[-1] == tip
    assert client.blocks([]) == []
    assert client.blocks([tip.height + 1, 0]) == [None, chain[0]]  # as asked, not as they stand


def test_a_payment_is_told_once_while_it_waits_and_then_stands_in_its_block(node: Knots, client: BitcoinNode) -> None:
    client.appeared()
    one, two = node.address(), node.address()
    txid = node.send_many({one: 12_345_678, two: 1_000})
    told = client.appeared()
    assert {(t.address, t.amount) for t in told} >= {(one, 12_345_678), (two, 1_000)}
    assert {t.txid for t in told} == {txid}
    assert client.appeared() == []
    assert client.waiting([txid]) == {txid}
    node.mine()
    tip = client.tip()
    [transfers] = client.transfers([tip])
    assert {t for t in transfers if t.txid == txid} == set(told)
    assert client.moved(tip, [txid]) == {txid}
    assert client.waiting([txid]) == {txid}
    assert client.appeared() == []


def test_a_replaced_payment_is_not_known_any_more(node: Knots, client: BitcoinNode) -> None:
    address = node.address()
    old = node.send(address, 70_000)
    assert paid_to(address, list(client.appeared()))[0].txid == old
    new = node.bump(old)
    assert client.waiting([old, new]) == {new}
    assert [(t.txid, t.amount) for t in paid_to(address, list(client.appeared()))] == [(new, 70_000)]
    other = node.double_spend(new, node.address())
    assert client.waiting([old, new, other]) == {other}
    assert paid_to(address, list(client.appeared())) == []
    node.mine()


def test_what_a_reorg_sets_free_appears_again_and_its_block_is_still_known(node: Knots, client: BitcoinNode) -> None:
    address = node.address()
    txid = node.send(address, 90_000)
    client.appeared()
    node.mine(2)
    stale = block_at(client, node.height() - 1)
    assert client.appeared() == []
    node.give_up(2)
    assert client.tip().height == stale.height - 1
    assert client.blocks([stale.height]) == [None]
    assert [t.txid for t in paid_to(address, list(client.appeared()))] == [txid]
    assert client.waiting([txid]) == {txid}
    node.mine(3)
    assert block_at(client, stale.height).hash != stale.hash
    assert [t.txid for t in paid_to(address, list(client.transfers([stale])[0]))] == [txid]


def test_a_payment_in_a_block_that_was_given_up_and_then_double_spent_is_not_known(
    node: Knots, client: BitcoinNode
) -> None:
    txid = node.send(node.address(), 80_000)
    node.mine()
    stale = client.tip()
    node.give_up(1)
    other = node.double_spend(txid, node.address())
    assert node.rpc("getrawtransaction", txid, True)["confirmations"] == 0  # its index has it still
    assert client.waiting([txid, other]) == {other}
    node.mine(2)
    assert client.waiting([txid, other]) == {other}
    held = block_at(client, stale.height)
    with pytest.raises(BadAnswer, match=txid):
        client.moved(held, [txid])
    assert client.moved(held, [other]) == {other}
    assert client.moved(held, []) == set()


def test_a_fresh_client_is_told_what_waits_in_portions(
    node: Knots, client: BitcoinNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitcoin_mempool, "MOST_APPEARED", 2)
    sent = {node.send(node.address(), 20_000) for _ in range(5)}
    portions = [{t.txid for t in client.appeared()} for _ in range(4)]
    assert [len(portion) for portion in portions] == [2, 2, 1, 0]
    assert set.union(*portions) == sent
    node.mine()


def test_blocks_are_fetched_in_groups_and_stay_in_their_order(
    node: Knots, client: BitcoinNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights = range(node.height() + 1)
    blocks = [block for block in client.blocks(heights) if block]
    whole = client.transfers(blocks)
    assert whole[0] == []  # the first block pays a key and no address
    assert all(sum(t.amount for t in transfers) >= 50 * COIN for transfers in whole[1:])
    monkeypatch.setattr(bitcoin, "TRANSACTIONS_AT_ONCE", 3)
    assert client.transfers(blocks) == whole
    assert client.transfers([]) == []


def test_balances_are_those_of_the_newest_block(node: Knots, client: BitcoinNode) -> None:
    one, two, nobody = (node.address() for _ in range(3))
    node.send_many({one: 30_000, two: 50_001})
    node.send(one, 4_321)
    assert client.balances([one]).amounts == (0,)  # what waits is not held yet
    node.mine()
    held = client.balances([two, nobody, one, two])
    assert held.amounts == (50_001, 0, 34_321, 50_001)
    assert held.block == client.tip()
    assert client.balances([]).amounts == ()


def test_without_an_index_the_newest_blocks_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with knots(tmp_path, "-txindex=0") as node:
        node.mine(101)
        client = asking(node)
        mined = node.send(node.address(), 10_000)
        node.mine(3)
        gone = node.send(node.address(), 10_000)
        waits = node.bump(gone)
        assert client.waiting([mined, gone, waits]) == {mined, waits}
        monkeypatch.setattr(bitcoin, "LOOKED_BACK", 2)
        assert client.waiting([mined, gone, waits]) == {waits}
        node.restart()
        assert client.waiting([gone, waits]) == {waits}


def test_a_node_that_was_killed_is_asked_again_by_the_same_client(tmp_path: Path) -> None:
    with knots(tmp_path) as node:
        node.mine(5)
        client = asking(node)
        tip = client.tip()
        node.restart()
        assert client.tip() == tip
        node.kill()
        with pytest.raises(ChainUnavailable):
            client.tip()
        node.start()
        assert client.tip().height <= tip.height  # what was not on its disk yet is gone: the tip went down


def test_a_pruned_block_is_named_and_is_no_empty_one(tmp_path: Path) -> None:
    with knots(tmp_path, "-txindex=0", "-prune=1", "-fastprune=1") as node:
        node.mine(560)
        client = asking(node)
        node.rpc("pruneblockchain", 250)
        first = block_at(client, 1)  # the header stays
        with pytest.raises(ChainUnavailable, match="pruned"):
            client.transfers([first])
        with pytest.raises(ChainUnavailable, match="pruned"):
            client.moved(first, ["11" * 32])
        assert len(client.transfers([client.tip()])) == 1


def test_a_block_that_the_node_never_had_is_no_empty_one(client: BitcoinNode) -> None:
    stranger = Block(5, "11" * 32, "22" * 32, 0, 0, 0, 0)
    with pytest.raises(ChainUnavailable, match="not found"):
        client.transfers([stranger])


def test_regtest_is_not_behind_when_no_block_came_for_a_day(tmp_path: Path) -> None:
    with knots(tmp_path, "-maxtipage=1", "-mocktime=2000000000") as node:
        assert node.rpc("getblockchaininfo")["initialblockdownload"] is True
        assert asking(node).tip().height == 0


def test_headers_without_their_blocks_mean_that_the_node_is_behind(node: Knots, tmp_path: Path) -> None:
    with knots(tmp_path) as behind:
        for height in range(1, bitcoin.HEADERS_AHEAD + 2):
            assert asking(behind).tip().height == 0
            behind.rpc("submitheader", node.rpc("getblockheader", node.rpc("getblockhash", height), False))
        with pytest.raises(NodeBehind, match="0 blocks of 4"):
            asking(behind).tip()
        for height in range(1, 3):
            behind.rpc("submitblock", node.rpc("getblock", node.rpc("getblockhash", height), 0))
        assert asking(behind).tip().height == 2


TPUB = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"


def test_the_node_derives_the_addresses_that_we_do(node: Knots) -> None:
    """An independent check: nothing of the node's derivation is ours."""
    descriptor = node.rpc("getdescriptorinfo", f"wpkh({TPUB}/0/*)")["descriptor"]
    account = hd.account(chain="BTC", key=TPUB, network="regtest")
    assert [account.address(index) for index in range(200)] == node.rpc("deriveaddresses", descriptor, [0, 199])

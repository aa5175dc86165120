"""The simulated chain behaves like a chain: linked, priced by EIP-1559, reorganised, shared by processes."""

import itertools
import threading
import time
from pathlib import Path

import pytest

from ico.chains.base import Block, ChainClient
from ico.chains.load import next_base_fee, read
from ico.chains.simulated import FeeTooLow, NotInMempool, SimulatedChain, TooDeep
from tests.ico.chains import vectors

# Observed on anvil 1.7.1: (gas used, base fee) of consecutive blocks with a limit of 2,100,000.
OBSERVED = [
    (2_100_000, 1_000_000_000),
    (2_100_000, 1_125_000_000),
    (2_100_000, 1_265_625_000),
    (1_050_000, 1_423_828_125),
    (1_050_000, 1_423_828_125),
    (0, 1_423_828_125),
    (0, 1_245_849_610),
    (210_000, 1_090_118_409),
]
OBSERVED_NEXT = 981_106_569


@pytest.fixture(params=["BTC", "ETH"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedChain:
    return SimulatedChain(tmp_path / "chain.sqlite3", chain=request.param)


def main_chain(client: ChainClient) -> list[Block]:
    blocks = [client.block_at(height) for height in range(client.tip().height + 1)]
    return [block for block in blocks if block is not None]


def txids(chain: SimulatedChain, height: int) -> list[str]:
    block = chain.block_at(height)
    assert block is not None
    return [transfer.txid for transfer in chain.transfers([block])[0]]


def test_it_is_a_chain_client(chain: SimulatedChain) -> None:
    client: ChainClient = chain
    assert client.tip().height == 0


def test_blocks_name_their_parents_and_follow_the_fee_rule(chain: SimulatedChain) -> None:
    chain.mine(5, background=0.9)
    chain.mine(5, background=0)
    blocks = main_chain(chain)
    assert [block.height for block in blocks] == list(range(11))
    for parent, block in itertools.pairwise(blocks):
        assert block.parent == parent.hash
        assert block.time >= parent.time
        assert block.base_fee == next_base_fee(parent.base_fee, gas_used=parent.gas_used, gas_limit=parent.gas_limit)
    assert len({block.hash for block in blocks}) == 11
    assert all(block.hash.startswith("0x") == (chain.chain == "ETH") for block in blocks)


def test_a_payment_waits_in_the_mempool_and_is_mined_once(chain: SimulatedChain) -> None:
    txid = chain.send("someone", 10**24 + 1)  # more wei than 64 bits hold
    assert [(t.txid, t.position, t.address, t.amount) for t in chain.mempool()] == [(txid, 0, "someone", 10**24 + 1)]
    (block,) = chain.mine()
    assert [t.amount for t in chain.transfers([block])[0]] == [10**24 + 1]
    assert chain.mempool() == []
    (empty,) = chain.mine()
    assert chain.transfers([empty])[0] == []
    assert block.gas_used > 21_000


def test_one_transaction_pays_several_addresses(chain: SimulatedChain) -> None:
    txid = chain.send_many([("one", 1), ("two", 2)])
    (block,) = chain.mine()
    assert [(t.txid, t.position, t.address, t.amount) for t in chain.transfers([block])[0]] == [
        (txid, 0, "one", 1),
        (txid, 1, "two", 2),
    ]


def test_failed_and_worthless_transactions_move_nothing(chain: SimulatedChain) -> None:
    failing, empty = chain.send("someone", 5, fails=True), chain.send("someone", 0)
    assert [t.txid for t in chain.mempool()] == [failing, empty]  # a node cannot know before it is mined
    (block,) = chain.mine(background=0)
    assert txids(chain, 1) == [failing, empty]
    assert chain.moved(block, {failing, empty}) == {empty}
    assert chain.balances(["someone"]).amounts == (0,)
    assert block.gas_used == 2 * 21_000  # they were mined all the same


def test_a_fee_below_the_base_fee_waits(chain: SimulatedChain) -> None:
    chain.send("someone", 1, fee=chain.fee_history(1).base_fees[-1] - 1)
    (full,) = chain.mine(background=1)
    assert chain.transfers([full])[0] == []
    chain.mine(20, background=0)
    assert chain.mempool() == []


def test_the_best_paying_go_first_when_the_block_is_small(tmp_path: Path) -> None:
    chain = SimulatedChain(tmp_path / "small.sqlite3", chain="ETH", gas_limit=42_000)
    offers = [chain.send("someone", 1, fee=fee * 10**9) for fee in (50, 90, 70)]
    (block,) = chain.mine(background=0)
    assert [t.txid for t in chain.transfers([block])[0]] == [offers[1], offers[2]]


def test_reorg_changes_the_hashes_and_returns_the_transactions(chain: SimulatedChain) -> None:
    chain.mine(2)
    kept, dropped = chain.send("someone", 1), chain.send("someone", 2)
    (lost,) = chain.mine()
    chain.mine(2)
    before = main_chain(chain)
    chain.reorg(3, dropped=[dropped])
    after = main_chain(chain)
    assert after[:3] == before[:3]
    assert len(after) == len(before)
    assert not {block.hash for block in after[3:]} & {block.hash for block in before[3:]}
    assert after[3].parent == before[2].hash
    assert [t.txid for t in chain.mempool()] == [kept]
    assert chain.block_by_hash(lost.hash) == lost  # a node remembers what it has seen
    chain.mine()
    assert txids(chain, 6) == [kept]


def test_reorg_can_mine_the_same_again_and_can_be_shorter(chain: SimulatedChain) -> None:
    txid = chain.send("someone", 1)
    chain.mine(4)
    chain.reorg(4, length=2, mined_again=True)
    assert chain.tip().height == 2
    assert chain.block_at(3) is None
    assert txids(chain, 1) == [txid]


@pytest.mark.parametrize("depth", [0, -1, 3])
def test_the_genesis_block_stays(chain: SimulatedChain, depth: int) -> None:
    chain.mine(2)
    before = main_chain(chain)
    with pytest.raises(TooDeep):
        chain.reorg(depth)
    assert main_chain(chain) == before


def test_replacing_needs_a_better_fee_and_a_waiting_transaction(chain: SimulatedChain) -> None:
    first = chain.send("someone", 5, fee=10**10)
    with pytest.raises(FeeTooLow):
        chain.replace(first, fee=10**10)
    assert [t.txid for t in chain.mempool()] == [first]
    second = chain.replace(first, fee=2 * 10**10)
    assert [(t.txid, t.amount) for t in chain.mempool()] == [(second, 5)]
    with pytest.raises(NotInMempool):
        chain.drop(first)
    chain.drop(second)
    assert chain.mempool() == []


def test_two_files_are_two_chains_and_one_file_is_one(tmp_path: Path) -> None:
    first = SimulatedChain(tmp_path / "a.sqlite3", chain="ETH", now=1)
    other = SimulatedChain(tmp_path / "b.sqlite3", chain="ETH", now=1)
    same = SimulatedChain(tmp_path / "a.sqlite3", chain="ETH")
    first.mine(3)
    assert first.block_at(0) != other.block_at(0)
    assert main_chain(same) == main_chain(first)


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    path, failures = tmp_path / "shared.sqlite3", []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            start.wait(timeout=30)
            mine = SimulatedChain(path, chain="ETH")
            for amount in range(1, 26):
                mine.send(f"address-{number}", amount)
                if amount % 5 == 0:
                    mine.mine()
            mine.close()
        except Exception as error:  # noqa: BLE001 (told in the main thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    chain = SimulatedChain(path, chain="ETH")
    chain.mine()
    blocks = main_chain(chain)
    assert [block.height for block in blocks] == list(range(22))
    assert all(block.parent == parent.hash for parent, block in itertools.pairwise(blocks))
    arrived = [(t.address, t.amount) for block in blocks for t in chain.transfers([block])[0]]
    assert sorted(arrived) == sorted((f"address-{n}", amount) for n in range(4) for amount in range(1, 26))


def test_paid_names_the_addresses_that_were_ever_paid(chain: SimulatedChain) -> None:
    chain.send("one", 1)
    chain.mine()
    chain.send("two", 1)
    assert chain.paid(["one", "two", "three"]) == {"one", "two"}


def test_observed_base_fees() -> None:
    fees = [fee for _, fee in OBSERVED] + [OBSERVED_NEXT]
    for (used, fee), following in zip(OBSERVED, fees[1:], strict=True):
        assert next_base_fee(fee, gas_used=used, gas_limit=2_100_000) == following


def test_every_observed_base_fee() -> None:
    vector = vectors.load("basefee_eip1559_observed.json")
    blocks = vector["blocks"]
    fees = [block["baseFeePerGas"] for block in blocks] + [int(vector["eth_feeHistory"]["baseFeePerGas"][-1], 16)]
    assert len(blocks) >= 18
    for block, following in zip(blocks, fees[1:], strict=True):
        assert (
            next_base_fee(block["baseFeePerGas"], gas_used=block["gasUsed"], gas_limit=block["gasLimit"]) == following
        )


def test_a_tiny_base_fee_still_rises_and_never_goes_below_zero() -> None:
    assert next_base_fee(0, gas_used=30, gas_limit=30) == 1
    assert next_base_fee(7, gas_used=30, gas_limit=30) == 8
    assert next_base_fee(7, gas_used=0, gas_limit=30) == 7
    assert next_base_fee(1, gas_used=0, gas_limit=30) == 1


def test_the_gauge_is_the_mean_of_twenty_blocks(chain: SimulatedChain) -> None:
    chain.mine(5, background=0)
    chain.mine(20, background=1.2)
    load = read(chain, now=time.time())
    assert load.ratio == 1.0
    assert load.base_fee == chain.fee_history(1).base_fees[-1]
    assert load.newest_at == chain.tip().time
    chain.mine(10, background=0)
    assert read(chain, now=time.time()).ratio == 0.5

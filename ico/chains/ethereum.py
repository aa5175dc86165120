"""An Ethereum node over JSON-RPC: any that answers the standard's `eth_` methods.

What it must be able to do: answer for every block since the first address was issued, and for the state of the newest
blocks (`balances`); an archive is not needed. Value that a contract moves is in no transaction's `to`: it is not seen
here, and the reconciliation of balances shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ico.chains import ethereum_answers as answers
from ico.chains.answers import listing, mapping, shown
from ico.chains.base import (
    BadAnswer,
    Balances,
    Block,
    ChainUnavailable,
    FeeReading,
    MempoolUnread,
    NodeBehind,
    Transfer,
)
from ico.chains.connection import TooLong
from ico.chains.rpc import FEW_BYTES, MOST_BYTES, Call, Rpc, RpcError
from ico.chunks import chunks

# What a block's transactions may weigh is bound by their gas: this much is 40 MB of hex at the worst.
GAS_AT_ONCE = 200_000_000
BLOCKS_AT_ONCE = 100
# The ids of all transactions come with a header: of a block of 200 million gas that holds payments only, in 700 kB.
HEADERS_AT_ONCE = 25
HEADERS_BYTES = 18 * 2**20
MOST_APPEARED = 5_000


class EthereumNode:
    chain = "ETH"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._told: frozenset[str] = frozenset()  # the pending block's transactions that `appeared` told
        self._untold = False

    def network(self) -> str:
        [told] = self._ask([("eth_chainId", [])])
        return str(answers.quantity(told, "the chain id"))

    def tip(self) -> Block:
        syncing, told = self._ask([("eth_syncing", []), _header("latest")])
        block = answers.header(told, "the newest block")
        if syncing is not False:
            raise NodeBehind(f"the node says that it is syncing: {shown(syncing)}")
        return block

    def blocks(self, heights: Sequence[int]) -> list[Block | None]:
        """Without their transactions: most blocks are asked for only to compare their hashes."""
        told: list[Any] = []
        for some in chunks(heights, HEADERS_AT_ONCE):
            told += self._ask([_header(hex(height)) for height in some], most_bytes=HEADERS_BYTES)
        return [answers.header_at(one, height) for one, height in zip(told, heights, strict=True)]

    def transfers(self, blocks: Sequence[Block]) -> list[Sequence[Transfer]]:
        """By hash, so that a reorg since the blocks were read cannot put another block's transactions in."""
        found: list[Sequence[Transfer]] = []
        for some in _in_parts(blocks):
            told = self._ask([("eth_getBlockByHash", [block.hash, True]) for block in some], most_bytes=MOST_BYTES)
            found += [_transfers(one, block) for one, block in zip(told, some, strict=True)]
        return found

    def moved(self, block: Block, txids: Collection[str]) -> set[str]:
        asked = list(txids)
        told = self._ask([("eth_getTransactionReceipt", [txid]) for txid in asked])
        receipts = zip(asked, told, strict=True)
        return {txid for txid, receipt in receipts if answers.succeeded(receipt, txid=txid, block=block)}

    def appeared(self) -> Sequence[Transfer]:
        """From the pending block, which is what the node would mine next; some nodes make none."""
        try:
            told = self._rpc.call("eth_getBlockByNumber", "pending", True, most_bytes=MOST_BYTES)
        except RpcError:
            told = None
        except TooLong as error:
            raise MempoolUnread(f"the pending block cannot be read: {error}") from None
        there = [] if told is None else answers.payments(mapping(told, "the pending block"), "the pending block")
        unknown = [transfer for transfer in there if transfer.txid not in self._told]
        new, self._untold = unknown[:MOST_APPEARED], len(unknown) > MOST_APPEARED
        self._told = (self._told & {transfer.txid for transfer in there}) | {transfer.txid for transfer in new}
        return new

    def more_appeared(self) -> bool:
        return self._untold

    def waiting(self, txids: Collection[str]) -> set[str]:
        """A transaction may carry 128 kB of data, and be sent to us for nothing but that."""
        asked = list(txids)
        told = self._ask([("eth_getTransactionByHash", [txid]) for txid in asked], most_bytes=MOST_BYTES)
        return {txid for txid, one in zip(asked, told, strict=True) if answers.is_known(one, txid)}

    def final_height(self) -> int:
        """The `finalized` block's. Not the `safe` one's: what that word promises differs between nodes."""
        final, newest = self._rpc.batch([_header("finalized"), _header("latest")])
        if final is None or isinstance(final, RpcError):
            said = "" if final is None else f" ({final})"
            raise BadAnswer(f"the node does not know which block is finalized{said}")
        height = answers.header(final, "the finalized block").height
        tip = answers.header(_whole(newest), "the newest block").height
        if height > tip:
            raise BadAnswer(f"the finalized block is said to be {height}, the newest is {tip}")
        return height

    def balances(self, addresses: Sequence[str]) -> Balances:
        """After the newest block, named by its hash in every question, so that they are of one moment."""
        tip = self.tip()
        told = self._ask([("eth_getBalance", [address, {"blockHash": tip.hash}]) for address in addresses])
        pairs = zip(told, addresses, strict=True)
        return Balances(
            tip, tuple(answers.quantity(one, f"the balance of {at}", most=answers.MOST_WEI) for one, at in pairs)
        )

    def fee_history(self, blocks: int) -> FeeReading:
        told, newest = self._ask([("eth_feeHistory", [hex(blocks), "latest", [50]]), _header("latest")])
        history = mapping(told, "the fee history")
        ratios = [answers.ratio(one) for one in listing(history.get("gasUsedRatio"), "the list of ratios")]
        fees = listing(history.get("baseFeePerGas"), "the list of base fees")
        return FeeReading(
            gas_used_ratios=tuple(ratios),
            base_fees=tuple(answers.quantity(fee, "a base fee", most=answers.MOST_WEI) for fee in fees),
            tips=tuple(answers.tips(history.get("reward"), ratios)),
            newest_at=answers.header(newest, "the newest block").time,
        )

    def _ask(self, calls: Sequence[Call], *, most_bytes: int = FEW_BYTES) -> list[Any]:
        """All results. Raises the first `RpcError` among them."""
        return [_whole(one) for one in self._rpc.batch(calls, most_bytes=most_bytes)]


def _header(which: str) -> Call:
    return "eth_getBlockByNumber", [which, False]


def _whole(answer: Any) -> Any:
    if isinstance(answer, RpcError):
        raise answer
    return answer


def _transfers(told: Any, block: Block) -> list[Transfer]:
    if told is None:
        raise ChainUnavailable(f"the node has forgotten block {block.height} ({block.hash}) since it named it")
    return answers.transfers(told, block)


def _in_parts(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """As many as may be answered at once."""
    part: list[Block] = []
    gas = 0
    for block in blocks:
        if part and (gas + block.gas_used > GAS_AT_ONCE or len(part) == BLOCKS_AT_ONCE):
            yield part
            part, gas = [], 0
        part.append(block)
        gas += block.gas_used
    if part:
        yield part

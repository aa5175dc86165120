"""A Bitcoin node over JSON-RPC: Bitcoin Core or Knots, tested with Knots 29.

It must have every block since the first address was issued (for those that a pruned node has no more it answers with
`ChainUnavailable`) and keep a mempool. An index of all transactions (`-txindex=1`) is used where it is there; see
`waiting`. No wallet is used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ico.chains import bitcoin_answers as answers
from ico.chains.answers import mapping, shown
from ico.chains.base import BadAnswer, Balances, Block, ChainBusy, ChainUnavailable, NodeBehind, Transfer
from ico.chains.bitcoin_mempool import Mempool
from ico.chains.connection import TooLong
from ico.chains.rpc import FEW_BYTES, MOST_BYTES, Call, Rpc, RpcError
from ico.chunks import chunks

# Bitcoin's numbers of errors.
_MISC, _NOT_FOUND, _INVALID, _WARMING_UP = -1, -5, -8, -28
HEADERS_AHEAD = 3  # a header is there before its block; more of them mean that blocks are being caught up with
TRANSACTIONS_AT_ONCE = 3_000  # in the blocks of one batch: a full block has about as many, in 15 MB
WAITING_AT_ONCE = 25  # transactions asked for at once: each may have 2 MB
LOOKED_BACK = 144  # blocks, about a day
SCAN_SECONDS = 900  # looking at every unspent output takes minutes
_NETWORK = re.compile(r"[a-z0-9]{1,32}")


class BitcoinNode:
    """A `ChainClient`. `mempool_seconds` lie at least between two looks at the whole mempool, and it is looked at then
    only if it changed; 0: it is looked at each time."""

    chain = "BTC"

    def __init__(self, rpc: Rpc, *, mempool_seconds: float = 0.0) -> None:
        self._rpc = rpc
        self._mempool = Mempool(self._ask, seconds=mempool_seconds)

    def network(self) -> str:
        name = self._state().get("chain")
        if not isinstance(name, str) or not _NETWORK.fullmatch(name):
            raise BadAnswer(f"the name of the node's network cannot be {shown(name)}")
        return name

    def tip(self) -> Block:
        """A node says that it is syncing by a flag (which on regtest only means that no block was mined for a day), or
        by headers whose blocks it has not got yet."""
        state = self._state()
        blocks = answers.number(state.get("blocks"), "the height of the tip")
        headers = answers.number(state.get("headers"), "the height of the newest header")
        syncing = state.get("initialblockdownload") is not False and state.get("chain") != "regtest"
        if syncing or headers > blocks + HEADERS_AHEAD:
            raise NodeBehind(f"the node is syncing: it has {blocks} blocks of {headers}")
        block = self._headers([answers.digest(state.get("bestblockhash"), "the hash of the tip")])[0]
        if block.height != blocks:
            raise BadAnswer(f"the tip is said to be at {blocks}, its header says {block.height}")
        return block

    def blocks(self, heights: Sequence[int]) -> list[Block | None]:
        told = self._ask((("getblockhash", [number]) for number in heights), absent=_INVALID)
        named = {
            n: answers.digest(one, f"the hash of block {n}")
            for n, one in zip(heights, told, strict=True)
            if one is not None
        }
        found = dict(zip(named, self._headers(list(named.values())), strict=True))
        for number, block in found.items():
            if block.height != number:
                raise BadAnswer(f"asked for the block at {number}, its header says {block.height}")
        return [found.get(number) for number in heights]

    def transfers(self, blocks: Sequence[Block]) -> list[Sequence[Transfer]]:
        """Also of blocks that are not on the main chain any more. Whole blocks are long, so as many are asked for at
        once as hold together what one full block holds."""
        found: list[Sequence[Transfer]] = []
        for together in self._groups(blocks):
            told = self._whole(together, with_outputs=True)
            found += [answers.transfers(one, of=block.hash) for one, block in zip(told, together, strict=True)]
        return found

    def moved(self, block: Block, txids: Collection[str]) -> set[str]:
        """All of them: an output in a block has moved, Bitcoin knows no transaction that failed."""
        held = self._txids([block]) if txids else set()
        strangers = set(txids) - held
        if strangers:
            raise BadAnswer(f"the node does not have {sorted(strangers)[0]} in block {block.hash} any more")
        return set(txids)

    def appeared(self) -> Sequence[Transfer]:
        new = self._mempool.new()
        # One that left the mempool in between was mined, replaced or dropped, which is no error.
        found = {txid: answers.waiting(told, of=txid) for txid, told in self._transactions(new)}
        self._mempool.told(new, found)  # now that nothing more can fail
        return [transfer for transfers in found.values() for transfer in transfers]

    def more_appeared(self) -> bool:
        return self._mempool.has_more

    def waiting(self, txids: Collection[str]) -> set[str]:
        """A block is looked into through the node's index of transactions. Without one, only the newest 144 blocks are
        looked into: a transaction that was mined before them counts as dropped until its block is followed."""
        asked = sorted(txids)
        told = self._ask((("getmempoolentry", [txid]) for txid in asked), absent=_NOT_FOUND)
        absent = {txid for txid, one in zip(asked, told, strict=True) if one is None}
        if absent:
            self._mempool_must_be_loaded()
            absent -= self._indexed(absent) if self._has_index() else self._in_newest_blocks(absent)
        return set(asked) - absent

    def final_height(self) -> None:
        """Bitcoin has no word for it: a block only grows less and less likely to be given up."""

    def balances(self, addresses: Sequence[str]) -> Balances:
        """One scan of all unspent outputs, of one moment: minutes on the main network. Outputs that wait in the mempool
        do not count."""
        wanted = [{"desc": f"addr({address})"} for address in addresses]
        try:
            told = self._rpc.call("scantxoutset", "start", wanted, seconds=SCAN_SECONDS, most_bytes=MOST_BYTES)
        except RpcError as error:
            if error.code == _INVALID:
                raise ChainBusy(f"the node is scanning already: {error}") from None
            raise
        scan = mapping(told, "the scan of unspent outputs")
        found = answers.unspent(scan)
        block = self._headers([answers.digest(scan.get("bestblock"), "the block of the scan")])[0]
        return Balances(block, tuple(found.get(address, 0) for address in addresses))

    def _state(self) -> Mapping[str, Any]:
        return mapping(self._ask([("getblockchaininfo", [])])[0], "the state of the node")

    def _headers(self, hashes: Sequence[str]) -> list[Block]:
        told = self._ask(("getblockheader", [one]) for one in hashes)
        return [answers.header(one, of=block_hash) for one, block_hash in zip(told, hashes, strict=True)]

    def _whole(self, blocks: Sequence[Block], *, with_outputs: bool) -> list[Any]:
        """What they are grouped by only says about how long they are: a group that is too long is asked one by one."""
        calls: list[Call] = [("getblock", [block.hash, 2 if with_outputs else 1]) for block in blocks]
        try:
            return self._ask(calls, most_bytes=MOST_BYTES)
        except TooLong:
            if len(calls) == 1:
                raise
            return [self._ask([call], most_bytes=MOST_BYTES)[0] for call in calls]

    def _txids(self, blocks: Sequence[Block]) -> set[str]:
        told = self._whole(blocks, with_outputs=False)
        found = zip(told, blocks, strict=True)
        return {
            txid
            for one, block in found
            for txid in answers.digests(answers.transactions(one, of=block.hash), f"the txids in block {block.hash}")
        }

    def _groups(self, blocks: Sequence[Block]) -> Iterator[list[Block]]:
        told = self._ask(("getblockheader", [block.hash]) for block in blocks)
        group: list[Block] = []
        held = 0
        for block, one in zip(blocks, told, strict=True):
            count = answers.transactions_in(one, of=block.hash)
            if group and held + count > TRANSACTIONS_AT_ONCE:
                yield group
                group, held = [], 0
            group.append(block)
            held += count
        if group:
            yield group

    def _transactions(self, txids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Those that the node knows, waiting or by its index."""
        for some in chunks(txids, WAITING_AT_ONCE):
            calls = (("getrawtransaction", [txid, 1]) for txid in some)
            told = self._ask(calls, absent=_NOT_FOUND, most_bytes=MOST_BYTES)
            yield from ((txid, one) for txid, one in zip(some, told, strict=True) if one is not None)

    def _mempool_must_be_loaded(self) -> None:
        """After a start it is read from disk while the node answers already: what is not there yet was not dropped."""
        state = mapping(self._ask([("getmempoolinfo", [])])[0], "the state of the mempool")
        if state.get("loaded") is not True:
            raise NodeBehind("the node is still loading its mempool")

    def _has_index(self) -> bool:
        told = mapping(self._ask([("getindexinfo", ["txindex"])])[0], "the state of the indexes")
        return mapping(told.get("txindex", {}), "the state of the index").get("synced") is True

    def _indexed(self, txids: set[str]) -> set[str]:
        """Waiting after all, or in a block of the main chain: the index keeps those of blocks that were given up too,
        with no confirmations."""
        return {txid for txid, told in self._transactions(sorted(txids)) if answers.is_valid(told, of=txid)}

    def _in_newest_blocks(self, txids: set[str]) -> set[str]:
        tip = self.tip().height
        found: set[str] = set()
        for chunk in chunks(range(tip, max(-1, tip - LOOKED_BACK), -1), 12):
            blocks = [block for block in self.blocks(chunk) if block is not None]
            found |= txids & self._txids(blocks)
            if found == txids:
                break
        return found

    def _ask(self, calls: Iterable[Call], *, absent: int | None = None, most_bytes: int = FEW_BYTES) -> list[Any]:
        """The answers in order, None where the node says with the error `absent` that it has no such thing."""
        asked = list(calls)
        told = self._rpc.batch(asked, most_bytes=most_bytes)
        return [_answer(one, absent, method) for one, (method, _) in zip(told, asked, strict=True)]


def _answer(told: Any, absent: int | None, method: str) -> Any:
    if told is None:
        raise BadAnswer(f"the node answered with nothing to {method}")
    if not isinstance(told, RpcError):
        return told
    if told.code == absent:
        return None
    if told.code in (_MISC, _NOT_FOUND, _WARMING_UP):
        raise ChainUnavailable(f"the node cannot answer: {shown(told.message)}")
    raise told

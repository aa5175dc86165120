"""The reading half of a simulated chain: what any node answers, told from the chain's file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ico.chains.base import SIMULATED, Balances, Block, ChainUnavailable, FeeReading, Transfer
from ico.chains.load import next_base_fee
from ico.chains.simulated_file import ChainFile

MOST_APPEARED = 5_000
FINAL_AFTER = 64  # two epochs of 32 blocks, as on Ethereum when all goes well
USUAL_TIP = 1_000_000_000  # nobody bids against anybody here
MINED = (
    "SELECT outputs.* FROM mined JOIN outputs ON outputs.txid = mined.txid WHERE mined.hash = ?"
    " ORDER BY mined.place, outputs.position"
)
WAITING = (
    "SELECT outputs.* FROM (SELECT * FROM mempool WHERE arrived > ? ORDER BY arrived LIMIT ?) AS mempool"
    " JOIN outputs ON outputs.txid = mempool.txid ORDER BY mempool.arrived, outputs.position"
)
KNOWN = (
    "SELECT value FROM json_each(?) WHERE value IN (SELECT txid FROM mempool)"
    " OR value IN (SELECT txid FROM mined JOIN main USING (hash))"
)
ARRIVED = "SELECT amount FROM arrivals JOIN mined USING (txid) JOIN main USING (hash) WHERE address = ?"
# Not a view: SQLite would read the whole main chain for one block of it.
HEADERS = (
    "SELECT blocks.height, hash, parent, time, base_fee, gas_used, gas_limit FROM main JOIN blocks USING (hash)"
    " WHERE main.height "
)
AT_THE_TIP = "= (SELECT max(height) FROM main)"
BlockRow = tuple[int, str, str, int, str, int, int]


class SimulatedNode:
    """A `ChainClient`. Blocks that lost a reorg are still known by their hash, as they are to a node."""

    def __init__(self, path: Path, *, chain: str) -> None:
        self.chain = chain
        self._told = 0  # how far `appeared` has told the mempool
        self._file = ChainFile(path, chain=chain)

    def close(self) -> None:
        self._file.close()

    def tip(self) -> Block:
        with self._reading() as db:
            return tip_of(db)

    def block_at(self, height: int) -> Block | None:
        with self._reading() as db:
            return _block(db.execute(HEADERS + "= ?", (height,)).fetchone())

    def block_by_hash(self, block_hash: str) -> Block | None:
        with self._reading() as db:
            return _block(db.execute("SELECT * FROM headers WHERE hash = ?", (block_hash,)).fetchone())

    def wire(self, address: str) -> str:
        """As it stands in blocks."""
        return address.lower() if self.chain == "ETH" else address

    def network(self) -> str:
        return SIMULATED

    def blocks(self, heights: Sequence[int]) -> list[Block | None]:
        return [self.block_at(height) for height in heights]

    def transfers(self, blocks: Sequence[Block]) -> list[Sequence[Transfer]]:
        with self._reading() as db:
            return [_transfers(db.execute(MINED, (block.hash,))) for block in blocks]

    def moved(self, block: Block, txids: Collection[str]) -> set[str]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT txid FROM transactions WHERE NOT fails AND txid IN (SELECT value FROM json_each(?))",
                (json.dumps(list(txids)),),
            )
            return {row[0] for row in rows}

    def mempool(self) -> Sequence[Transfer]:
        """All that waits."""
        with self._reading() as db:
            return _transfers(db.execute(WAITING, (0, MOST_APPEARED)))

    def appeared(self) -> Sequence[Transfer]:
        with self._reading() as db:
            told = db.execute(
                "SELECT max(arrived) FROM (SELECT arrived FROM mempool WHERE arrived > ? ORDER BY arrived LIMIT ?)",
                (self._told, MOST_APPEARED),
            ).fetchone()[0]
            found = _transfers(db.execute(WAITING, (self._told, MOST_APPEARED)))
            self._told = told or self._told
            return found

    def more_appeared(self) -> bool:
        with self._reading() as db:
            return bool(
                db.execute("SELECT EXISTS (SELECT 1 FROM mempool WHERE arrived > ?)", (self._told,)).fetchone()[0]
            )

    def waiting(self, txids: Collection[str]) -> set[str]:
        with self._reading() as db:
            rows = db.execute(KNOWN, (json.dumps(list(txids)),))
            return {row[0] for row in rows}

    def final_height(self) -> int | None:
        if self.chain != "ETH":
            return None
        return max(0, self.tip().height - FINAL_AFTER)

    def balances(self, addresses: Sequence[str]) -> Balances:
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                tip = tip_of(db)
                amounts = [
                    sum(int(row[0]) for row in db.execute(ARRIVED, (self.wire(address),))) for address in addresses
                ]
            finally:
                db.execute("COMMIT")
        return Balances(tip, tuple(amounts))

    def fee_history(self, blocks: int) -> FeeReading:
        with self._reading() as db:
            last = tip_of(db).height
            rows = db.execute(HEADERS + "> ? ORDER BY main.height", (last - blocks,)).fetchall()
        recent = [_header(row) for row in rows[-blocks:]]
        newest = recent[-1]
        following = next_base_fee(newest.base_fee, gas_used=newest.gas_used, gas_limit=newest.gas_limit)
        return FeeReading(
            gas_used_ratios=tuple(block.gas_used / block.gas_limit for block in recent),
            base_fees=(*(block.base_fee for block in recent), following),
            tips=(USUAL_TIP,) * len(recent),
            newest_at=newest.time,
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._file.connection()
        except sqlite3.OperationalError as error:
            raise ChainUnavailable(str(error)) from error


def tip_of(db: sqlite3.Connection) -> Block:
    tip = _block(db.execute(HEADERS + AT_THE_TIP).fetchone())
    if tip is None:
        raise ChainUnavailable("the chain's file holds no block")
    return tip


def _block(row: BlockRow | None) -> Block | None:
    return None if row is None else _header(row)


def _header(row: BlockRow) -> Block:
    height, block_hash, parent, moment, base_fee, gas_used, gas_limit = row
    return Block(height, block_hash, parent, moment, int(base_fee), gas_used, gas_limit)


def _transfers(rows: Iterable[tuple[str, int, str, str]]) -> Sequence[Transfer]:
    return [Transfer(txid, position, address, int(amount)) for txid, position, address, amount in rows]

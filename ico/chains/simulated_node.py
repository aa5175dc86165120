"""The reading half of a simulated chain: what any node answers, told from the chain's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ico.chains.base import Block, ChainUnavailable, FeeReading, Transfer
from ico.chains.load import next_base_fee
from ico.chains.simulated_file import ChainFile

BlockRow = tuple[int, str, str, int, str, int, int]


class SimulatedNode:
    """A `ChainClient`. Blocks that lost a reorg are still known by their hash, as they are to a node."""

    def __init__(self, path: Path, *, chain: str) -> None:
        self.chain = chain
        self._file = ChainFile(path)

    def close(self) -> None:
        self._file.close()

    def tip(self) -> Block:
        with self._reading() as db:
            return tip_of(db)

    def block_at(self, height: int) -> Block | None:
        with self._reading() as db:
            return _block(db.execute("SELECT * FROM main_headers WHERE height = ?", (height,)).fetchone())

    def block_by_hash(self, block_hash: str) -> Block | None:
        with self._reading() as db:
            return _block(db.execute("SELECT * FROM headers WHERE hash = ?", (block_hash,)).fetchone())

    def transfers(self, block: Block) -> Sequence[Transfer]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT arrivals.* FROM mined JOIN arrivals ON arrivals.txid = mined.txid"
                " WHERE mined.hash = ? ORDER BY mined.place, arrivals.position",
                (block.hash,),
            )
            return [_transfer(row) for row in rows]

    def mempool(self) -> Sequence[Transfer]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT arrivals.* FROM mempool JOIN arrivals ON arrivals.txid = mempool.txid"
                " ORDER BY mempool.arrived, arrivals.position"
            )
            return [_transfer(row) for row in rows]

    def fee_history(self, blocks: int) -> FeeReading:
        with self._reading() as db:
            rows = db.execute("SELECT * FROM main_headers ORDER BY height DESC LIMIT ?", (blocks,)).fetchall()
        recent = [_header(row) for row in reversed(rows)]
        newest = recent[-1]
        following = next_base_fee(newest.base_fee, gas_used=newest.gas_used, gas_limit=newest.gas_limit)
        return FeeReading(
            gas_used_ratios=tuple(block.gas_used / block.gas_limit for block in recent),
            base_fees=(*(block.base_fee for block in recent), following),
            newest_at=newest.time,
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._file.connection()
        except sqlite3.OperationalError as error:
            raise ChainUnavailable(str(error)) from error


def tip_of(db: sqlite3.Connection) -> Block:
    tip = _block(db.execute("SELECT * FROM main_headers ORDER BY height DESC LIMIT 1").fetchone())
    if tip is None:
        raise ChainUnavailable("the chain's file holds no block")
    return tip


def _block(row: BlockRow | None) -> Block | None:
    return None if row is None else _header(row)


def _header(row: BlockRow) -> Block:
    height, block_hash, parent, moment, base_fee, gas_used, gas_limit = row
    return Block(height, block_hash, parent, moment, int(base_fee), gas_used, gas_limit)


def _transfer(row: tuple[str, int, str, str]) -> Transfer:
    txid, position, address, amount = row
    return Transfer(txid=txid, position=position, address=address, amount=int(amount))

"""A chain without miners: a real hash chain in one SQLite file that any process may open, as if it were a node.

Blocks name their parent by hash, carry a digest of their transactions and a base fee by EIP-1559, and reorganise when
told to. Blocks that lost stay in the file, off the main chain, as they do in a node. One class serves both chains: they
differ in how a hash is written. Nothing here is worth anything.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

from ico.chains.base import Block
from ico.chains.load import next_base_fee
from ico.chains.simulated_node import SimulatedNode, tip_of

GAS_OF_A_TRANSFER = 21_000
GAS_LIMIT = 30_000_000
FIRST_BASE_FEE = 1_000_000_000
NORMAL_LOAD = 0.5
LOAD_JITTER = 0.1
NO_PARENT = "0" * 64


class NotInMempool(LookupError):
    """The transaction is not waiting: it was mined, replaced or dropped, or never sent."""


class FeeTooLow(ValueError):
    """A replacement must offer more than what it replaces."""


class TooDeep(ValueError):
    """The genesis block cannot be reorganised away."""


class SimulatedChain(SimulatedNode):
    """A `ChainClient` with the powers of a miner. `send` and `replace` play wallets, `mine` and `reorg` the network."""

    least = 1  # every amount is passed on: see `purse.Purse`

    def __init__(self, path: Path, *, chain: str, gas_limit: int = GAS_LIMIT, now: float | None = None) -> None:
        super().__init__(path, chain=chain)
        with self._writing() as db:
            if db.execute("SELECT 1 FROM main").fetchone() is None:
                salt = secrets.token_hex(16)  # two files are two chains
                self._append(db, None, [], int(time.time() if now is None else now), 0, gas_limit, salt)

    # --- what a wallet does -------------------------------------------------------------------------------------------

    def send(self, address: str, amount: int, *, fee: int | None = None, fails: bool = False) -> str:
        """Broadcast a payment, answering its txid. `fee` is the most it pays per gas; None pays whatever is asked."""
        return self.send_many([(address, amount)], fee=fee, fails=fails)

    def send_many(self, outputs: Sequence[tuple[str, int]], *, fee: int | None = None, fails: bool = False) -> str:
        if not outputs or any(amount < 0 for _, amount in outputs):
            raise ValueError("A transaction has outputs, and none of them is negative.")
        with self._writing() as db:
            return self._broadcast(db, outputs, fee, fails)

    def replace(self, txid: str, *, fee: int, outputs: Sequence[tuple[str, int]] | None = None) -> str:
        """Put a better paying transaction in the place of a waiting one; to the same outputs, if none are given."""
        with self._writing() as db:
            old_fee = _take_from_mempool(db, txid)
            if old_fee is not None and fee <= old_fee:
                raise FeeTooLow(f"{fee} does not beat {old_fee}")
            return self._broadcast(db, outputs or _outputs(db, txid), fee, fails=False)

    def drop(self, txid: str) -> None:
        """The nodes forget a waiting transaction."""
        with self._writing() as db:
            _take_from_mempool(db, txid)

    def paid(self, addresses: Collection[str]) -> set[str]:
        """Those of the addresses that any transaction was ever sent to."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT DISTINCT address FROM outputs WHERE address IN (SELECT value FROM json_each(?))",
                (json.dumps([self.wire(address) for address in addresses]),),
            )
            found = {row[0] for row in rows}
        return {address for address in addresses if self.wire(address) in found}

    # --- what the network does ----------------------------------------------------------------------------------------

    def mine(self, count: int = 1, *, background: float = NORMAL_LOAD, now: float | None = None) -> list[Block]:
        """Mine blocks from the mempool. `background` is how full other people's traffic makes them, 0 to 1."""
        moment = time.time() if now is None else now
        with self._writing() as db:
            return [self._mine(db, moment, background) for _ in range(count)]

    def reorg(
        self,
        depth: int,
        *,
        length: int | None = None,
        dropped: Collection[str] = (),
        mined_again: bool = False,
        background: float = NORMAL_LOAD,
        now: float | None = None,
    ) -> list[Block]:
        """Replace the newest `depth` blocks by `length` others (as many, if not told; fewer lets the tip go down).
        Their transactions wait again, except the `dropped` ones; the new blocks are empty unless `mined_again`."""
        moment = time.time() if now is None else now
        with self._writing() as db:
            tip = tip_of(db)
            if not 0 < depth <= tip.height:
                raise TooDeep(f"{depth} of {tip.height} blocks")
            self._unwind(db, tip.height - depth, dropped)
            wanted = depth if length is None else length
            return [self._mine(db, moment, background, empty=not mined_again) for _ in range(wanted)]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _mine(self, db: sqlite3.Connection, moment: float, background: float, *, empty: bool = False) -> Block:
        tip = tip_of(db)
        salt = secrets.token_hex(16)  # what a nonce does: no two blocks are the same
        base_fee = next_base_fee(tip.base_fee, gas_used=tip.gas_used, gas_limit=tip.gas_limit)
        txids = [] if empty else _best_paying(db, base_fee, tip.gas_limit // GAS_OF_A_TRANSFER)
        others = min(1.0, max(0.0, background + (Random(salt).uniform(-1, 1) * LOAD_JITTER if background else 0)))  # noqa: S311
        gas_used = min(tip.gas_limit, len(txids) * GAS_OF_A_TRANSFER + int(tip.gas_limit * others))
        return self._append(db, tip, txids, max(int(moment), tip.time), gas_used, tip.gas_limit, salt)

    def _append(
        self,
        db: sqlite3.Connection,
        parent: Block | None,
        txids: Sequence[str],
        moment: int,
        gas_used: int,
        gas_limit: int,
        salt: str,
    ) -> Block:
        digest = _digest(*txids)
        height, parent_hash, base_fee = 0, self._written(NO_PARENT), FIRST_BASE_FEE
        if parent is not None:
            height, parent_hash = parent.height + 1, parent.hash
            base_fee = next_base_fee(parent.base_fee, gas_used=parent.gas_used, gas_limit=parent.gas_limit)
        block_hash = self._written(_digest(parent_hash, height, moment, digest, base_fee, gas_used, gas_limit, salt))
        block = Block(height, block_hash, parent_hash, moment, base_fee, gas_used, gas_limit)
        db.execute(
            "INSERT INTO blocks (height, hash, parent, time, base_fee, gas_used, gas_limit, digest, salt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (height, block_hash, parent_hash, moment, str(base_fee), gas_used, gas_limit, digest, salt),
        )
        db.execute("INSERT INTO main (height, hash) VALUES (?, ?)", (height, block_hash))
        db.executemany("INSERT INTO mined VALUES (?, ?, ?)", [(block_hash, n, txid) for n, txid in enumerate(txids)])
        db.executemany("DELETE FROM mempool WHERE txid = ?", [(txid,) for txid in txids])
        return block

    def _unwind(self, db: sqlite3.Connection, ancestor: int, dropped: Collection[str]) -> None:
        lost = db.execute(
            "SELECT txid FROM main JOIN mined USING (hash) WHERE height > ? ORDER BY height, place", (ancestor,)
        ).fetchall()
        db.execute("DELETE FROM main WHERE height > ?", (ancestor,))
        db.executemany("INSERT INTO mempool (txid) VALUES (?)", [row for row in lost if row[0] not in dropped])

    def _broadcast(
        self, db: sqlite3.Connection, outputs: Sequence[tuple[str, int]], fee: int | None, fails: bool
    ) -> str:
        txid = self._written(_digest(secrets.token_hex(16), *outputs))
        db.execute("INSERT INTO transactions VALUES (?, ?, ?)", (txid, None if fee is None else str(fee), fails))
        rows = [(txid, position, self.wire(address), str(amount)) for position, (address, amount) in enumerate(outputs)]
        db.executemany("INSERT INTO outputs VALUES (?, ?, ?, ?)", rows)
        db.execute("INSERT INTO mempool (txid) VALUES (?)", (txid,))
        return txid

    def _written(self, digest: str) -> str:
        return f"0x{digest}" if self.chain == "ETH" else digest

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time over all processes: the lock is taken before anything is read."""
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _digest(*parts: object) -> str:
    return sha256(sha256(json.dumps(parts).encode()).digest()).hexdigest()


def _outputs(db: sqlite3.Connection, txid: str) -> list[tuple[str, int]]:
    rows = db.execute("SELECT address, amount FROM outputs WHERE txid = ? ORDER BY position", (txid,))
    return [(address, int(amount)) for address, amount in rows]


def _take_from_mempool(db: sqlite3.Connection, txid: str) -> int | None:
    if db.execute("DELETE FROM mempool WHERE txid = ?", (txid,)).rowcount != 1:
        raise NotInMempool(txid)
    fee = db.execute("SELECT fee FROM transactions WHERE txid = ?", (txid,)).fetchone()[0]
    return None if fee is None else int(fee)


def _best_paying(db: sqlite3.Connection, base_fee: int, most: int) -> list[str]:
    rows = db.execute("SELECT txid, fee FROM mempool JOIN transactions USING (txid) ORDER BY arrived").fetchall()
    willing = [(txid, None if fee is None else int(fee)) for txid, fee in rows if fee is None or int(fee) >= base_fee]
    willing.sort(
        key=lambda offer: (offer[1] is not None, -(offer[1] or 0))
    )  # stable: among equals the first one waits least
    return [txid for txid, _ in willing[:most]]

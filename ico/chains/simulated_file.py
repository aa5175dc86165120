"""The file of a simulated chain: its tables, and one connection per process and thread."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

# Amounts and fees are text: a wei amount does not fit SQLite's 64-bit integers.
TABLES = """
CREATE TABLE IF NOT EXISTS blocks (
    hash TEXT PRIMARY KEY, height INTEGER NOT NULL, parent TEXT NOT NULL, time INTEGER NOT NULL,
    base_fee TEXT NOT NULL, gas_used INTEGER NOT NULL, gas_limit INTEGER NOT NULL, digest TEXT NOT NULL,
    salt TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main (height INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS transactions (txid TEXT PRIMARY KEY, fee TEXT, fails INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
    txid TEXT NOT NULL, position INTEGER NOT NULL, address TEXT NOT NULL, amount TEXT NOT NULL,
    PRIMARY KEY (txid, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outputs_address ON outputs (address);
CREATE TABLE IF NOT EXISTS mined (
    hash TEXT NOT NULL, place INTEGER NOT NULL, txid TEXT NOT NULL, PRIMARY KEY (hash, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mined_txid ON mined (txid);
CREATE TABLE IF NOT EXISTS mempool (arrived INTEGER PRIMARY KEY AUTOINCREMENT, txid TEXT NOT NULL UNIQUE);
CREATE VIEW IF NOT EXISTS headers AS SELECT height, hash, parent, time, base_fee, gas_used, gas_limit FROM blocks;
CREATE VIEW IF NOT EXISTS arrivals AS
    SELECT txid, position, address, amount FROM outputs JOIN transactions USING (txid)
    WHERE NOT fails AND amount <> '0';
"""
WAIT_SECONDS = 30
VERSION = 1  # of the contents; 0: Ethereum's addresses stand there with their checksum


class ChainFile:
    """A connection must not pass a fork (its locks would not) nor be used by two threads at once."""

    def __init__(self, path: Path, *, chain: str) -> None:
        self._path = path
        self._chain = chain
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        if getattr(self._local, "process", None) != os.getpid():
            self._local.db = self._connect()
            self._local.process = os.getpid()
        db: sqlite3.Connection = self._local.db
        return db

    def close(self) -> None:
        """Close this thread's connection; another call opens it again."""
        if getattr(self._local, "process", None) == os.getpid():
            self._local.db.close()
            self._local.process = None

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(TABLES)
        if db.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            self._renew(db)
        return db

    def _renew(self, db: sqlite3.Connection) -> None:
        """Once in the life of a file. Two that do it at the same time do it one after the other, and twice is once."""
        db.execute("BEGIN IMMEDIATE")
        if self._chain == "ETH":
            db.execute("UPDATE outputs SET address = lower(address) WHERE address <> lower(address)")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")

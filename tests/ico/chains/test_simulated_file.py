"""Files of simulated chains that an earlier version made are understood."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ico.chains.simulated import SimulatedChain

MADE = Path(__file__).parent / "made" / "before_wire.sql"  # by commit 92673d3, out of its `iterdump`
MINED, WAITING = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "chain-eth.sqlite3"
    db = sqlite3.connect(path)
    db.executescript(MADE.read_text())
    db.close()
    return path


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def addresses(chain: SimulatedChain) -> list[str]:
    [mined] = chain.transfers([chain.tip()])
    return [transfer.address for transfer in [*mined, *chain.appeared()]]


def test_payments_to_addresses_with_their_checksum_are_found(old: Path) -> None:
    assert version(old) == 0
    chain = SimulatedChain(old, chain="ETH")
    assert addresses(chain) == [MINED.lower(), WAITING.lower()]
    assert chain.balances([MINED, WAITING]).amounts == (10**18, 0)
    chain.mine(1)
    assert chain.balances([MINED, WAITING]).amounts == (10**18, 2 * 10**18)
    assert version(old) == 1


def test_it_is_done_once(old: Path) -> None:
    SimulatedChain(old, chain="ETH").close()
    db = sqlite3.connect(old)
    db.execute("UPDATE outputs SET address = ? WHERE address = ?", (MINED, MINED.lower()))
    db.commit()
    db.close()
    assert addresses(SimulatedChain(old, chain="ETH")) == [MINED, WAITING.lower()]  # nobody went through the file again


def test_case_has_a_meaning_on_bitcoin(old: Path) -> None:
    assert addresses(SimulatedChain(old, chain="BTC")) == [MINED, WAITING]


def test_a_new_file_has_nothing_to_renew(tmp_path: Path) -> None:
    SimulatedChain(tmp_path / "new.sqlite3", chain="ETH")
    assert version(tmp_path / "new.sqlite3") == 1

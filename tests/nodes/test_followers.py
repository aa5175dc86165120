"""The follower as a process on a real node, killed in the middle of its work: the next one goes on where it was."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.deadline import until
from tests.nodes.anvil_player import AnvilPlayer
from tests.process.crowd import ROOT

pytestmark = pytest.mark.process

PAYMENTS, BLOCKS_BETWEEN = 20, 60
WEI, CENTS = 10**16, 3_000  # 30.00 each
A_SALE_WITH_ONE_PARTICIPANT = """
import django; django.setup()
from datetime import timedelta
from django.core.management import call_command
from django.utils import timezone
from ico import caps, sales
from tests.ico.people import address_of, joined
call_command("migrate", verbosity=0)
now = timezone.now()
for chain, cents in (("BTC", 6_000_000), ("ETH", 300_000)):
    caps.record_rate(chain=chain, cents_per_coin=cents, source="test", now=now)
sale = sales.open_sale(
    slug="test", name="Test", opens_at=now, closes_at=now + timedelta(days=30), total_cap_cents=30_000_000,
    personal_cap_cents=100_000, batch_size=50, batch_interval_seconds=10,
)
print(address_of(joined(sale=sale, now=now), "ETH").lower())
"""


class Books:
    """A data folder whose Ethereum is a real node; Bitcoin is simulated in it."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "STAMPEDE_DATA": str(folder),
            "STAMPEDE_ETH_NODE": node,
            "STAMPEDE_ETH_CHAIN_ID": "31337",
            "STAMPEDE_ETH_CONFIRMATIONS": "3",
        }

    def participant(self) -> str:
        """Of a new sale; the address."""
        command = [sys.executable, "-c", A_SALE_WITH_ONE_PARTICIPANT]
        made = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    @contextmanager
    def follower(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "manage.py", "follow_chains"]
        with (self.folder / "follower.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait(30)

    def height(self) -> int:
        found = self.asked("SELECT height FROM ico_chaincursor WHERE chain = 'ETH' AND block_hash <> ''")
        return int(found[0][0]) if found else -1

    def leader(self) -> int:
        """The process that follows Ethereum."""
        return int(str(self.asked("SELECT holder FROM ico_lease WHERE name = 'follow:ETH'")[0][0]).split(":")[1])

    def credited(self) -> int:
        return int(self.asked("SELECT credited_cents FROM ico_invitation")[0][0])

    def asked(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.folder / 'stampede.sqlite3'}?mode=ro", uri=True)) as books:
            return books.execute(query).fetchall()


def test_a_killed_follower_is_followed_by_one_that_credits_everything_once(
    anvil_player: AnvilPlayer, tmp_path: Path
) -> None:
    books = Books(tmp_path / "data", anvil_player.node.url)
    address = books.participant()
    anvil_player.prepare([address])
    for _ in range(PAYMENTS):
        anvil_player.pay([(address, WEI)])
        anvil_player.mine(BLOCKS_BETWEEN)
    with books.follower() as one, books.follower() as other:
        until(lambda: books.credited() > 0, "the first payments are credited")
        leader = books.leader()
        assert leader in (one.pid, other.pid)
        os.kill(leader, signal.SIGKILL)
        anvil_player.reorg(2, length=3)
        last = anvil_player.pay([(address, WEI)])
        anvil_player.mine(3)
        until(lambda: books.credited() == (PAYMENTS + 1) * CENTS, "everything is credited")
        until(lambda: books.height() == anvil_player.height(), "everything is followed")
        assert books.leader() != leader
    arrived = anvil_player.arrived([address], up_to=anvil_player.height())
    booked = books.asked("SELECT txid, cents FROM ico_ledgerentry JOIN ico_deposit ON deposit_id = ico_deposit.id")
    assert sorted(booked) == sorted((txid, CENTS) for txid, _ in arrived)
    assert (last[0], CENTS) in booked

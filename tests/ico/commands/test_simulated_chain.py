"""The miner as a command: what it does once, and how it ends."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from ico import nodes
from ico.chains.simulated import SimulatedChain
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, settings) -> None:
    settings.DATA_DIR = tmp_path


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("simulated_chain", *arguments, stdout=out)
    return out.getvalue()


def test_once_mines_so_many_on_both_chains() -> None:
    told = run("--once", "3")
    assert [nodes.simulated(chain).tip().height for chain in ("BTC", "ETH")] == [3, 3]
    assert told.count("\n") == 6
    assert "BTC block 3 " in told
    assert "ETH block 1 0x" in told


def node(settings, *chains: str) -> None:
    addresses = dict.fromkeys(chains, urlsplit("http://127.0.0.1:1"))
    settings.NODES = {"BTC": None, "ETH": None, **addresses}


def test_a_chain_with_a_real_node_is_not_mined(settings) -> None:
    node(settings, "ETH")
    told = run("--once", "3")
    assert "BTC block 3 " in told
    assert "ETH" not in told
    with pytest.raises(CommandError, match="ETH has a real node"):
        run("--reorg", "ETH:1")
    node(settings)
    assert nodes.simulated("ETH").tip().height == 0


def test_where_every_chain_has_a_real_node_there_is_nothing_to_mine(settings) -> None:
    node(settings, "BTC", "ETH")
    with pytest.raises(CommandError, match="Every chain has a real node"):
        run("--once", "1")
    assert run() == "Every chain has a real node (STAMPEDE_BTC_NODE, STAMPEDE_ETH_NODE): nothing to mine.\n"


def test_the_load_fills_the_blocks() -> None:
    run("--once", "20", "--load", "1")
    assert sum(nodes.simulated("ETH").fee_history(19).gas_used_ratios) > 17


def test_reorg_replaces_blocks_of_one_chain() -> None:
    run("--once", "4")
    eth, btc = nodes.simulated("ETH"), nodes.simulated("BTC")
    before = [eth.block_at(height) for height in range(5)], btc.tip()
    told = run("--reorg", "eth:2")
    assert "ETH gave up 2 blocks" in told
    assert [eth.block_at(height) for height in range(3)] == before[0][:3]
    assert eth.tip().height == 4
    assert eth.tip() != before[0][4]
    assert btc.tip() == before[1]


@pytest.mark.parametrize("wrong", ["ETH", "ETH:0", "ETH:-1", "DOGE:2", "ETH:two"])
def test_a_reorg_that_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="ETH:3"):
        run("--reorg", wrong)


def test_the_genesis_block_cannot_be_given_up() -> None:
    run("--once", "1")
    with pytest.raises(CommandError, match="genesis"):
        run("--reorg", "ETH:2")


def test_it_mines_at_its_pace_and_ends_cleanly_on_sigterm(tmp_path) -> None:
    environment = {
        **os.environ,
        "STAMPEDE_DATA": str(tmp_path),
        "STAMPEDE_ETH_BLOCK_SECONDS": "0.02",
        "STAMPEDE_BTC_BLOCK_SECONDS": "0.05",
    }
    command = [sys.executable, str(ROOT / "manage.py"), "simulated_chain"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as miner:
        try:
            until(lambda: (tmp_path / "chain-eth.sqlite3").exists(), "the miner has begun")
            chain = SimulatedChain(tmp_path / "chain-eth.sqlite3", chain="ETH")
            until(lambda: chain.tip().height >= 5, "five blocks")
        finally:
            miner.send_signal(signal.SIGTERM)
        told, _ = miner.communicate(timeout=30)
    assert miner.returncode == 0
    assert told.endswith("stopped mining\n")
    assert "Traceback" not in told

"""The stack's own chains outlive their nodes, killed in the middle of whatever they were doing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from config.serving import free_port
from config.supervising import BASE
from deploy.local import anvil, keeping, miner
from deploy.local.asking import Refused, ask
from tests.absent import absent
from tests.deadline import until
from tests.nodes.knots import Knots, knots

pytestmark = pytest.mark.process

PAID = "0x" + "ab" * 20


@pytest.fixture
def port() -> int:
    if reason := anvil.missing():
        absent(reason)
    return free_port()


@contextmanager
def node(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """As supervisor starts it."""
    where = ["--port", str(port), "--folder", str(folder), "--block-seconds", "0.5"]
    process = subprocess.Popen([sys.executable, "-m", "deploy.local.ethereum", *where], cwd=BASE)
    try:
        until(lambda: height(port) is not None, "the node answers")
        yield process
    finally:
        process.terminate()
        process.wait(30)


def height(port: int) -> int | None:
    try:
        return int(ask(f"http://127.0.0.1:{port}", "eth_blockNumber"), 16)
    except OSError:
        return None


def balance(port: int) -> int:
    return int(ask(f"http://127.0.0.1:{port}", "eth_getBalance", PAID, "latest"), 16)


def pay(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    sender = ask(url, "eth_accounts")[0]
    ask(url, "eth_sendTransaction", {"from": sender, "to": PAID, "value": hex(10**18)})
    until(lambda: balance(port), "the payment is in a block")


def block_hash(port: int, number: int) -> str:
    return str(ask(f"http://127.0.0.1:{port}", "eth_getBlockByNumber", hex(number), False)["hash"])


def test_a_killed_node_of_ethereum_goes_on_with_its_chain(port: int, tmp_path: Path) -> None:
    with node(port, tmp_path) as process:
        pay(port)
        paid_in = height(port) or 0
        hashes = [block_hash(port, number) for number in range(paid_in + 1)]
        (keeper,) = psutil.Process(process.pid).children()
        until(lambda: kept_height(tmp_path) >= paid_in, "the payment is kept")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        keeper.wait(30)  # it ends with the node
    (tmp_path / "closed.json").write_bytes(keeping.kept(tmp_path).read_bytes()[:-100])  # killed while it wrote, too
    with node(port, tmp_path):
        assert balance(port) == 10**18
        assert [block_hash(port, number) for number in range(paid_in + 1)] == hashes
        until(lambda: (height(port) or 0) > paid_in + 2, "it goes on")


def kept_height(folder: Path) -> int:
    file = keeping.kept(folder)
    return int(json.loads(file.read_bytes())["best_block_number"]) if file.exists() else -1


def test_anvil_alone_does_not_start_with_half_a_chain(port: int, tmp_path: Path) -> None:
    """Why there is a keeper, and why it looks at the files first."""
    with node(port, tmp_path):
        until(lambda: keeping.kept(tmp_path).exists(), "a chain is kept")
    half = tmp_path / "half.json"
    half.write_bytes(keeping.kept(tmp_path).read_bytes()[:-100])
    alone = subprocess.run(anvil.command(port, state=half), capture_output=True, timeout=30, check=False)
    assert alone.returncode != 0
    assert b"parse" in alone.stderr


def test_a_node_that_is_stopped_in_order_loses_no_block(port: int, tmp_path: Path) -> None:
    with node(port, tmp_path):
        pay(port)
        last = height(port) or 0
        known = block_hash(port, last)
    with node(port, tmp_path):
        assert block_hash(port, last) == known
        assert balance(port) == 10**18


def test_what_a_miner_has_mined_outlives_the_node(tmp_path: Path) -> None:
    with knots(tmp_path) as bitcoin:
        stop = threading.Event()
        mining = threading.Thread(
            target=miner.mine_on, args=(bitcoin.url,), kwargs={"block_seconds": 0.2, "stop": stop}
        )
        mining.start()
        try:
            until(lambda: bitcoin.height() > 103, "blocks are mined")
            assert bitcoin.rpc("getbalances")["mine"]["trusted"] >= 50
            reached = survives_a_kill(bitcoin)
            until(lambda: bitcoin.height() > reached + 1, "the miner goes on by itself")
        finally:
            stop.set()
            mining.join()
        # ... and because of what the miner does after each block
        before = bitcoin.height()
        bitcoin.mine(3)
        bitcoin.kill()
        bitcoin.start()
        assert bitcoin.height() <= before


def survives_a_kill(bitcoin: Knots) -> int:
    """Kills the node and starts it again, as supervisor does. Returns up to which height its blocks are the same."""
    reached = bitcoin.height() - 1  # the newest one may not be written yet
    known = bitcoin.rpc("getblockhash", reached)
    bitcoin.kill()
    bitcoin.start()
    assert bitcoin.rpc("getblockhash", reached) == known
    return reached


def test_what_a_node_says_instead_of_an_answer_is_a_refusal(port: int, tmp_path: Path) -> None:
    with node(port, tmp_path), pytest.raises(Refused, match="Method not found"):
        ask(f"http://127.0.0.1:{port}", "does_not_exist")

"""`manage.py serve` with a real node of one chain: that one is followed and not simulated, the other one still is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from config import serving, supervising
from config.serving import free_port
from tests.deadline import until
from tests.nodes import anvil
from tests.nodes.anvil import Anvil
from tests.process.conftest import Served, alive
from tests.process.crowd import ROOT, audited_clean

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil.running(tmp_path_factory.mktemp("node")) as running:
        yield running


@dataclass(frozen=True)
class OnANode(Served):
    node: Anvil

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **variables(self.node, self.data)}


def variables(node: Anvil, data: Path) -> dict[str, str]:
    chain_id = str(node.chain_id)
    return {"STAMPEDE_ETH_NODE": node.url, "STAMPEDE_ETH_CHAIN_ID": chain_id, "STAMPEDE_DATA": str(data)}


@pytest.fixture(scope="module")
def served(node: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data, port = tmp_path_factory.mktemp("data"), free_port()
    log = data / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "manage.py", "serve", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **variables(node, data)},
            stdout=output,
            stderr=output,
            text=True,
        )
        try:
            until(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None, "the start")
            assert process.poll() is None, log.read_text()
            yield OnANode(f"http://127.0.0.1:{port}", port, data, process, node)
        finally:
            left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait(60)
            assert [one for one in left if alive(one)] == [], "serve left processes behind"


def test_the_chain_with_a_node_is_followed_and_the_other_one_mined(served: Served, node: Anvil) -> None:
    mined = served.data / "logs" / "chain.log"
    until(lambda: "BTC block 2 " in mined.read_text(), "bitcoin is mined")
    assert "mining BTC every" in mined.read_text()
    assert "ETH" not in mined.read_text()
    assert not (served.data / "chain-eth.sqlite3").exists()
    node.mine(3)
    until(lambda: followed(served) == node.height(), "ethereum is followed on its node")
    audited_clean(served)


def followed(served: Served) -> int:
    """The newest block of Ethereum that was followed without trouble."""
    with closing(sqlite3.connect(served.data / "stampede.sqlite3")) as books:
        row = books.execute("SELECT height FROM ico_chaincursor WHERE chain = 'ETH' AND trouble = ''").fetchone()
    return int(row[0]) if row else -1


@pytest.mark.parametrize("chains", [(), ("ETH",), ("BTC", "ETH")])
def test_there_is_a_miner_as_long_as_something_is_simulated(chains: tuple[str, ...], settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings.DATA_DIR = tmp_path
    settings.NODES = {"BTC": None, "ETH": None, **dict.fromkeys(chains, urlsplit("http://127.0.0.1:1"))}
    written = serving._configuration(tmp_path).read_text()
    there = {one.name for one in supervising.application() if f"[program:{one.name}]" in written}
    assert there == {one.name for one in supervising.application()} - ({"chain"} if len(chains) == 2 else set())

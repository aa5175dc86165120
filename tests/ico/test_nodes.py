"""Which node answers for a chain."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico import nodes
from ico.chains.bitcoin import BitcoinNode
from ico.chains.ethereum import EthereumNode
from ico.chains.rpc import Rpc
from ico.chains.simulated import SimulatedChain

BTC, ETH = urlsplit("http://user:SECRET@127.0.0.1:1"), urlsplit("http://127.0.0.1:2")


@pytest.fixture
def real(settings: Any) -> None:
    settings.NODES = {"BTC": BTC, "ETH": ETH}


def test_without_an_address_a_chain_is_simulated(settings: Any) -> None:
    assert settings.NODES == {"BTC": None, "ETH": None}
    for chain in ("BTC", "ETH"):
        client = nodes.client_for(chain)
        assert isinstance(client, SimulatedChain)
        assert client.chain == chain
        assert nodes.simulated(chain) is client
    assert nodes.gauged() is nodes.simulated("ETH")


def test_an_address_means_a_real_node(real: None) -> None:
    bitcoin, ethereum = nodes.client_for("BTC"), nodes.client_for("ETH")
    assert isinstance(bitcoin, BitcoinNode)
    assert isinstance(ethereum, EthereumNode)
    assert nodes.gauged() is ethereum


def test_only_a_development_nodes_mempool_is_looked_at_each_time(
    real: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float] = []

    class Told(BitcoinNode):
        def __init__(self, rpc: Rpc, *, mempool_seconds: float) -> None:
            found.append(mempool_seconds)
            super().__init__(rpc, mempool_seconds=mempool_seconds)

    monkeypatch.setattr(nodes, "BitcoinNode", Told)
    for number, network in enumerate(("mainnet", "testnet", "regtest")):
        settings.BTC_NETWORK = network
        settings.NODES = {"BTC": urlsplit(f"http://127.0.0.1:{number + 10}"), "ETH": None}
        nodes.client_for("BTC")
    assert found == [nodes.MEMPOOL_SECONDS, nodes.MEMPOOL_SECONDS, 0.0]


def test_one_chain_may_be_simulated_and_the_other_real(settings: Any) -> None:
    settings.NODES = {"BTC": None, "ETH": ETH}
    assert isinstance(nodes.client_for("BTC"), SimulatedChain)
    assert isinstance(nodes.gauged(), EthereumNode)


@pytest.mark.parametrize("chain", ["BTC", "ETH"])
def test_nobody_plays_on_a_real_chain(real: None, chain: str) -> None:
    with pytest.raises(nodes.NotSimulated, match=rf"is followed on a real node \(STAMPEDE_{chain}_NODE\)") as refused:
        nodes.simulated(chain)
    assert "SECRET" not in str(refused.value)


def test_a_thread_keeps_its_client_for_as_long_as_the_address_is_the_same(real: None, settings: Any) -> None:
    mine = nodes.client_for("ETH")
    assert nodes.client_for("ETH") is mine
    others: list[Any] = []
    thread = threading.Thread(target=lambda: others.extend([nodes.client_for("ETH"), nodes.client_for("ETH")]))
    thread.start()
    thread.join()
    assert others[0] is others[1]
    assert others[0] is not mine
    settings.NODES = {"BTC": BTC, "ETH": urlsplit("http://127.0.0.1:3")}
    assert nodes.client_for("ETH") is not mine


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_clients_of_its_own(real: None) -> None:
    mine = nodes.client_for("ETH")
    child = os.fork()
    if not child:  # whatever happens, this is not the test run
        try:
            os._exit(0 if nodes.client_for("ETH") is not mine else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert nodes.client_for("ETH") is mine

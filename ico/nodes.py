"""Which node answers for a chain: the one that the settings name, or a simulated chain in the data folder."""

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult

from django.conf import settings

from ico.chains.base import ChainClient, GaugedClient
from ico.chains.bitcoin import BitcoinNode
from ico.chains.ethereum import EthereumNode
from ico.chains.rpc import Rpc
from ico.chains.simulated import SimulatedChain
from ico.models import Chain

_Node = TypeVar("_Node", BitcoinNode, EthereumNode)
_mine = threading.local()
MEMPOOL_SECONDS = 5.0  # between two looks at a whole mempool, which is 10 MB on Bitcoin's main network


class NotSimulated(Exception):
    """The chain is a real one: nobody here mines it, or pays on it out of nothing."""


def client_for(chain: str) -> ChainClient:
    """The same one each time in a thread, for clients remember what they told; a process that was forked has others."""
    address = settings.NODES[chain]
    if address is None:
        return simulated(chain)
    return _kept(_bitcoin, address) if chain == Chain.BTC else _kept(EthereumNode, address)


def gauged() -> GaugedClient:
    """The node whose chain's load governs the releases."""
    address = settings.NODES["ETH"]
    return simulated("ETH") if address is None else _kept(EthereumNode, address)


def simulated(chain: str) -> SimulatedChain:
    """The simulated chain with its powers of wallet and miner, for the commands that play them. Raises `NotSimulated`
    where a node is named: what it says must never be mixed with what is played."""
    if settings.NODES[chain] is not None:
        raise NotSimulated(f"{Chain(chain).label} is followed on a real node (STAMPEDE_{chain}_NODE)")
    return _opened(Path(settings.DATA_DIR) / f"chain-{chain.lower()}.sqlite3", chain)


@lru_cache(maxsize=16)
def _opened(path: Path, chain: str) -> SimulatedChain:
    return SimulatedChain(path, chain=chain)


def _bitcoin(rpc: Rpc) -> BitcoinNode:
    """A development node has a small mempool, and people who want to see their payment at once."""
    return BitcoinNode(rpc, mempool_seconds=0.0 if settings.BTC_NETWORK == "regtest" else MEMPOOL_SECONDS)


def _kept(kind: Callable[[Rpc], _Node], address: SplitResult) -> _Node:
    clients: dict[Any, Any] = vars(_mine).setdefault("clients", {})
    which = (kind, address, os.getpid())
    if which not in clients:
        clients[which] = kind(Rpc(address))
    client: _Node = clients[which]
    return client

"""Which node answers for a chain. On the embedded default that is a simulated chain in the data folder."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from ico.chains.base import ChainClient, GaugedClient
from ico.chains.simulated import SimulatedChain


def client_for(chain: str) -> ChainClient:
    return simulated(chain)


def gauged() -> GaugedClient:
    """The node whose chain's load governs the releases."""
    return simulated("ETH")


def simulated(chain: str) -> SimulatedChain:
    """The simulated chain with its powers of wallet and miner, for the commands that play them."""
    return _opened(Path(settings.DATA_DIR) / f"chain-{chain.lower()}.sqlite3", chain)


@lru_cache(maxsize=16)
def _opened(path: Path, chain: str) -> SimulatedChain:
    return SimulatedChain(path, chain=chain)

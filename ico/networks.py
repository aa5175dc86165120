"""Which network each chain is on, and what people must therefore be told: coins of a simulated chain and of a test
network are worth nothing, and real ones that are sent to an address shown for it may be lost.

Said from settings alone, for pages are made without a query; the follower refuses a node of another network.
"""

from dataclasses import dataclass
from enum import Enum

from django.conf import settings

from ico.chains import chain_ids
from ico.chains.base import SIMULATED
from ico.models import Chain

COINS = {"BTC": "bitcoin", "ETH": "ether"}
ETHEREUM_TESTS = {**dict.fromkeys(chain_ids.DEVELOPMENT, "development"), **chain_ids.TEST_NETWORKS}


class Worth(Enum):
    SIMULATED = "a simulated chain"
    TEST = "a test network"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class Network:
    chain: str
    name: str
    worth: Worth


@dataclass(frozen=True, slots=True)
class Notice:
    headline: str
    text: str


def network(chain: str) -> Network:
    if not settings.NODES[chain]:
        return Network(chain, SIMULATED, Worth.SIMULATED)
    if chain == Chain.BTC:
        name = settings.BTC_NETWORK
        return Network(chain, name, Worth.REAL if name == "mainnet" else Worth.TEST)
    number = settings.ETH_CHAIN_ID
    if number in ETHEREUM_TESTS:
        return Network(chain, f"{ETHEREUM_TESTS[number]} ({number})", Worth.TEST)
    return Network(chain, "mainnet" if number == 1 else f"chain {number}", Worth.REAL)


def notice() -> Notice | None:
    """What every page of the sale says; None when both chains are real."""
    found = [network(chain) for chain in Chain.values]
    worthless = [one for one in found if one.worth is not Worth.REAL]
    if not worthless:
        return None
    if {one.worth for one in found} == {Worth.SIMULATED}:
        return Notice("Simulated chain.", "This is a demonstration: never send real funds.")
    if {one.worth for one in found} == {Worth.TEST}:
        return Notice("Test network.", "Its coins are worth nothing: never send real funds.")
    named = " and ".join(f"{Chain(one.chain).label} is on {one.worth.value}" for one in worthless)
    if len(worthless) == len(found):
        return Notice(f"{named}.", "Their coins are worth nothing: never send real funds.")
    return Notice(f"{named}.", f"Never send real {COINS[worthless[0].chain]} to an address shown here.")

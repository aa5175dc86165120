"""How full a chain is, and what that does to its fees."""

from __future__ import annotations

from dataclasses import dataclass

from ico.chains.base import GaugedClient

GAUGE_BLOCKS = 20
ELASTICITY = 2
MOST_CHANGE = 8  # one eighth a block at most


@dataclass(frozen=True, slots=True)
class Load:
    ratio: float  # mean gas-used ratio, 0 to 1; 0.5 is normal since EIP-1559
    base_fee: int  # of the next block
    newest_at: int  # time of the newest block in it: a node that stands still reads older and older


def next_base_fee(base_fee: int, *, gas_used: int, gas_limit: int) -> int:
    """EIP-1559, in its integer arithmetic: a full block raises the fee by an eighth, an empty one lowers it as much."""
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee
    change = base_fee * abs(gas_used - target) // target // MOST_CHANGE
    return base_fee + max(change, 1) if gas_used > target else base_fee - change


def read(client: GaugedClient) -> Load:
    history = client.fee_history(GAUGE_BLOCKS)
    ratios = history.gas_used_ratios
    return Load(ratio=sum(ratios) / len(ratios), base_fee=history.base_fees[-1], newest_at=history.newest_at)

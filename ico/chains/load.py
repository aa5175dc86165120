"""How full and how dear a chain is, what a block does to its fees, and whether that holds the releases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ico.chains.base import BadAnswer, FeeReading, GaugedClient

GAUGE_BLOCKS = 20
ELASTICITY = 2
MOST_CHANGE = 8  # one eighth a block at most
GWEI = 10**9
MOST_FEE = 10**18  # one whole ether for one gas: no chain means that
AHEAD_SECONDS = 60  # what a miner's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class Load:
    """One reading of the gauge. Fees in wei per gas."""

    ratio: float  # mean gas-used ratio, 0 to 1; 0.5 is normal since EIP-1559
    base_fee: int  # of the next block
    tip: int  # median of the blocks' median tips
    newest_at: int  # time of the newest block in it: a node that stands still reads older and older


@dataclass(frozen=True, slots=True)
class Marks:
    """Where the gate closes and where it opens again: the load from 0 to 1, the price in gwei. None: not used."""

    load_high: float
    load_low: float
    price_high: float | None = None
    price_low: float | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """One measure that keeps the gate closed. `above`: it has just passed its high mark; else it was above, and has
    not fallen below its low one."""

    measure: str  # "load" or "price"
    value: float
    mark: float
    above: bool


def next_base_fee(base_fee: int, *, gas_used: int, gas_limit: int) -> int:
    """EIP-1559, in its integer arithmetic: a full block raises the fee by an eighth, an empty one lowers it as much."""
    target = gas_limit // ELASTICITY
    if gas_used == target:
        return base_fee
    change = base_fee * abs(gas_used - target) // target // MOST_CHANGE
    return base_fee + max(change, 1) if gas_used > target else base_fee - change


def read(client: GaugedClient, *, now: float) -> Load:
    """The gauge, over the newest blocks (fewer on a young chain). `now` in Unix seconds. Raises `BadAnswer` when the
    fee history cannot be true."""
    history = client.fee_history(GAUGE_BLOCKS)
    for wrong in _wrong(history, now):
        raise BadAnswer(f"the {client.chain} node's fee history {wrong}")
    ratios = history.gas_used_ratios
    return Load(
        ratio=math.fsum(ratios) / len(ratios),
        base_fee=history.base_fees[-1],
        tip=_median(history.tips),
        newest_at=history.newest_at,
    )


def price_gwei(*, base_fee: int, tip: int) -> float:
    """What a gas costs in the next block."""
    return (base_fee + tip) / GWEI


def holding(*, load: float, price: float | None, marks: Marks, was_closed: bool) -> tuple[Holding, ...]:
    """What keeps the gate closed from now on; empty when it is open. `price` in gwei, None when it is not known.

    It closes when the load or the price rises above its high mark, and opens when all that have marks have fallen
    below their low ones: what swings around one mark does not make the releases flap."""
    measures = (("load", load, marks.load_high, marks.load_low), ("price", price, marks.price_high, marks.price_low))
    return tuple(
        Holding(measure, value, high if value > high else low, value > high)
        for measure, value, high, low in measures
        if value is not None and high is not None and low is not None
        if value > high or (was_closed and not value < low)
    )


def _wrong(history: FeeReading, now: float) -> Iterator[str]:
    """What cannot be true of it."""
    ratios, blocks = history.gas_used_ratios, len(history.gas_used_ratios)
    if not 1 <= blocks <= GAUGE_BLOCKS:
        yield f"is about {blocks} blocks, not 1 to {GAUGE_BLOCKS}"
    if (len(history.base_fees), len(history.tips)) != (blocks + 1, blocks):
        yield f"has {len(history.base_fees)} base fees and {len(history.tips)} tips for {blocks} blocks"
    yield from (f"says that a block is {ratio!r} full" for ratio in ratios if not 0 <= ratio <= 1)  # NaN is neither
    fees = (*history.base_fees, *history.tips)
    if not all(0 <= fee <= MOST_FEE for fee in fees):
        yield f"has a fee that is not 0 to {MOST_FEE} wei"
    if not 0 <= history.newest_at <= now + AHEAD_SECONDS:
        yield f"ends at {str(history.newest_at)[:20]}, and it is {now:.0f}"


def _median(values: Sequence[int]) -> int:
    """Whole wei, and exact: the lower half of a middle pair's sum."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2

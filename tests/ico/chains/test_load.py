"""The gauge reads what a node says of its fees, refuses what cannot be true, and does not flap."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ico.chains.base import BadAnswer, FeeReading
from ico.chains.load import GAUGE_BLOCKS, GWEI, MOST_FEE, Holding, Load, Marks, holding, price_gwei, read
from ico.chains.simulated import SimulatedChain
from ico.chains.simulated_node import USUAL_TIP

NOW = 1_795_000_000.0
HISTORY = FeeReading(
    gas_used_ratios=(0.25, 0.75, 0.5, 0.9),
    base_fees=(10 * GWEI, 9 * GWEI, 10 * GWEI, 10 * GWEI, 11 * GWEI),
    tips=(3, 0, 10**9, 8),
    newest_at=int(NOW) - 12,
)
BOTH = Marks(load_high=0.9, load_low=0.7, price_high=40, price_low=35)


class Answering(SimulatedChain):
    """A node whose fee history is a given one."""

    history: FeeReading

    def fee_history(self, blocks: int) -> FeeReading:
        assert blocks == GAUGE_BLOCKS
        return self.history


@pytest.fixture
def node(tmp_path: Path) -> Answering:
    return Answering(tmp_path / "eth.sqlite3", chain="ETH")


def closed(load: float, price: float | None, marks: Marks, *, was_closed: bool) -> bool:
    return bool(holding(load=load, price=price, marks=marks, was_closed=was_closed))


def test_the_mean_ratio_the_next_base_fee_and_the_median_tip(node: Answering) -> None:
    node.history = HISTORY
    assert read(node, now=NOW) == Load(ratio=0.6, base_fee=11 * GWEI, tip=5, newest_at=int(NOW) - 12)
    young = replace(HISTORY, gas_used_ratios=(1.0,), base_fees=(7, 8), tips=(MOST_FEE - 1,))
    node.history = young  # a chain of one block; no float lies in between
    assert read(node, now=NOW) == Load(ratio=1.0, base_fee=8, tip=MOST_FEE - 1, newest_at=int(NOW) - 12)


def test_a_price_is_base_fee_and_tip() -> None:
    assert price_gwei(base_fee=47 * GWEI, tip=1_200_000_000) == 48.2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"gas_used_ratios": (), "base_fees": (1,), "tips": ()}, "about 0 blocks"),
        ({"gas_used_ratios": (0.5,) * 21, "base_fees": (1,) * 22, "tips": (1,) * 21}, "about 21 blocks"),
        ({"base_fees": (1,) * 4}, "4 base fees and 4 tips for 4 blocks"),
        ({"tips": (1,) * 3}, "5 base fees and 3 tips for 4 blocks"),
        ({"gas_used_ratios": (0.5, math.nan, 0.5, 0.5)}, "nan full"),
        ({"gas_used_ratios": (0.5, 0.5, 0.5, math.inf)}, "inf full"),
        ({"gas_used_ratios": (0.5, 0.5, 0.5, -0.01)}, "-0.01 full"),
        ({"gas_used_ratios": (1.01, 0.5, 0.5, 0.5)}, "1.01 full"),
        ({"base_fees": (1, 1, 1, 1, -1)}, "has a fee"),
        ({"base_fees": (1, 1, 1, 1, 10**80)}, "has a fee"),
        ({"tips": (1, 1, 1, MOST_FEE + 1)}, "has a fee"),
        ({"newest_at": int(NOW) + 61}, "ends at"),
        ({"newest_at": -1}, "ends at"),
        ({"newest_at": 10**80}, "ends at"),
    ],
)
def test_what_cannot_be_true_is_named_and_not_taken(node: Answering, change: dict[str, object], named: str) -> None:
    node.history = replace(HISTORY, **change)  # type: ignore[arg-type]
    with pytest.raises(BadAnswer, match=named) as refused:
        read(node, now=NOW)
    assert len(str(refused.value)) < 200
    node.history = HISTORY
    assert read(node, now=NOW).ratio == 0.6


def test_a_miners_clock_may_be_a_minute_ahead(node: Answering) -> None:
    node.history = replace(HISTORY, newest_at=int(NOW) + 60)
    assert read(node, now=NOW).newest_at == int(NOW) + 60


@pytest.mark.parametrize(
    ("load", "price", "was_closed", "is_closed"),
    [
        (0.9, 40, False, False),  # at the mark is not above it
        (0.91, 20, False, True),
        (0.5, 40.1, False, True),
        (0.8, 37, False, False),  # between the marks it stays as it is
        (0.8, 37, True, True),
        (0.69, 37, True, True),  # each of them keeps it closed
        (0.8, 34.9, True, True),
        (0.7, 34.9, True, True),  # at the low mark is not below it
        (0.69, 35, True, True),
        (0.69, 34.9, True, False),
    ],
)
def test_the_gate_with_both_marks(load: float, price: float, was_closed: bool, is_closed: bool) -> None:
    assert closed(load, price, BOTH, was_closed=was_closed) is is_closed


def test_without_price_marks_no_price_holds() -> None:
    only_load = Marks(load_high=0.9, load_low=0.7)
    assert not closed(0.5, 10**6, only_load, was_closed=True)
    assert not closed(0.5, None, BOTH, was_closed=False)  # not known: whoever decides must not call that fresh


def test_each_measure_says_what_it_has_not_done() -> None:
    assert holding(load=0.93, price=37, marks=BOTH, was_closed=True) == (
        Holding("load", 0.93, 0.9, above=True),
        Holding("price", 37, 35, above=False),
    )


levels = st.floats(0, 1)
prices = st.floats(0.001, 10_000)


@st.composite
def marks(draw: st.DrawFn) -> Marks:
    low, high = sorted((draw(levels), draw(levels)))
    if draw(st.booleans()):
        return Marks(high, low)
    price_low, price_high = sorted((draw(prices), draw(prices)))
    return Marks(high, low, price_high, price_low)


def above(load: float, price: float, marks: Marks) -> bool:
    return load > marks.load_high or (marks.price_high is not None and price > marks.price_high)


def below(load: float, price: float, marks: Marks) -> bool:
    return load < marks.load_low and (marks.price_low is None or price < marks.price_low)


@given(marks(), st.lists(st.tuples(levels, prices), max_size=50), st.booleans())
def test_it_changes_only_by_a_mark_that_was_passed(
    marks: Marks, readings: list[tuple[float, float]], was_closed: bool
) -> None:
    for load, price in readings:
        is_closed = closed(load, price, marks, was_closed=was_closed)
        if above(load, price, marks):
            assert is_closed
        elif below(load, price, marks):
            assert not is_closed
        else:
            assert is_closed is was_closed
        # Whoever reads the same twice decides the same: a step that is repeated changes nothing.
        assert closed(load, price, marks, was_closed=is_closed) is is_closed
        was_closed = is_closed


def changes(readings: list[float], marks: Marks) -> int:
    states = [False]
    for price in readings:
        states.append(closed(0.5, price, marks, was_closed=states[-1]))
    return sum(before != after for before, after in itertools.pairwise(states))


def test_one_mark_alone_flaps() -> None:
    """The control: the same readings, with the low mark drawn up to the high one."""
    swinging = [41.0, 39.0] * 10
    assert changes(swinging, BOTH) == 1
    assert changes(swinging, replace(BOTH, price_low=40)) == 20


def test_full_blocks_raise_the_simulated_chains_price_and_empty_ones_lower_it(tmp_path: Path) -> None:
    chain = SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH")
    before = read(chain, now=time.time())
    assert (before.base_fee, before.tip) == (875_000_000, USUAL_TIP)  # the genesis block is empty
    chain.mine(20, background=1.2)
    full = read(chain, now=time.time())
    assert full.ratio == 1.0
    assert full.base_fee > 9 * before.base_fee
    chain.mine(40, background=0)
    assert read(chain, now=time.time()).base_fee < before.base_fee

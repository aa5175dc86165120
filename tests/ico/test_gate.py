"""The gate from end to end on the simulated chain: blocks are mined, the follower's reading is taken, the releaser
decides. Nobody is invited while a gas is too dear, and it does not flap."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ico import deposits, release
from ico.chains.base import BadAnswer, FeeReading
from ico.chains.load import GWEI, price_gwei
from ico.chains.simulated import SimulatedChain
from ico.decision import Reason
from ico.models import ChainReading, Release, Sale
from tests.ico.conftest import join, numbered

pytestmark = pytest.mark.django_db
HIGH, LOW = 4.0, 3.0
FULL, HALF, EMPTY = 1.2, 0.5, 0.0
Step = Callable[[float], Release]


@pytest.fixture
def chain(tmp_path: Path, now: datetime) -> SimulatedChain:
    return SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH", now=now.timestamp())


@pytest.fixture
def step(sale: Sale, chain: SimulatedChain, now: datetime) -> Step:
    """Mine one block, so full; read the load; decide. The load's own marks are out of the way."""
    rules = {"chain_load_high": 1.0, "chain_load_low": 0.99, "batch_size": 1, "batch_interval_seconds": 0}
    Sale.objects.filter(pk=sale.pk).update(**rules, gas_price_high_gwei=HIGH, gas_price_low_gwei=LOW)
    for number in range(60):
        join(sale, f"v{number}@example.org")
    numbered(sale)
    moments = (now + timedelta(seconds=12 * block) for block in itertools.count(1))

    def one(background: float) -> Release:
        moment = next(moments)
        chain.mine(background=background, now=moment.timestamp())
        deposits.read_load(client=chain, now=moment)
        record = release.release(sale_id=sale.pk, holder="test", now=moment)
        assert record is not None
        return record

    return one


def price() -> float:
    reading = ChainReading.objects.get()
    return price_gwei(base_fee=int(reading.base_fee), tip=int(reading.tip))


def test_the_sale_holds_above_the_mark_and_goes_on_below_the_lower_one(step: Step, chain: SimulatedChain) -> None:
    walked = []
    for _ in range(20):  # up to more than the high mark
        record = step(FULL)
        walked.append(price())
        assert record.reason == (Reason.GAS_PRICE if price() > HIGH else Reason.RELEASED)
        if price() > HIGH:
            break
    assert walked[0] < 2.1
    assert walked[-1] > HIGH
    assert walked[-2] <= HIGH
    assert chain.fee_history(1).base_fees[-1] == ChainReading.objects.get().base_fee
    held, between = record, 0
    while price() >= LOW:  # down to less than the low one
        record = step(EMPTY)
        if price() >= LOW:
            between += price() < HIGH
            assert record == held  # the same hold, counted
    assert between >= 2  # below the high mark, and held all the same
    assert record.reason == Reason.RELEASED
    held.refresh_from_db()
    assert held.repeats > between
    assert held.inputs["base_fee_wei"] + held.inputs["tip_wei"] == pytest.approx(walked[-1] * GWEI, abs=1)
    while price() < LOW + 0.5:  # up again, but not above the high mark: open
        assert step(FULL).reason == Reason.RELEASED
    assert LOW < price() < HIGH


def changes(step: Step) -> int:
    """How often the gate changed while the price swung around the high mark, forty blocks long."""
    while price_after(step, FULL) <= HIGH:
        pass
    states, last = [], price()
    for _ in range(40):
        last = price_after(step, EMPTY if last > HIGH else FULL)
        states.append(Sale.objects.get().gate_closed)
    return sum(before != after for before, after in itertools.pairwise(states))


def price_after(step: Step, background: float) -> float:
    step(background)
    return price()


def test_a_price_that_swings_around_the_mark_does_not_make_releases_flap(step: Step) -> None:
    assert changes(step) == 0


def test_with_one_mark_alone_it_does(step: Step) -> None:
    """The control: the same blocks, with the low mark drawn up to the high one."""
    Sale.objects.update(gas_price_low_gwei=HIGH)
    assert changes(step) > 20


def test_without_marks_no_price_holds(step: Step) -> None:
    Sale.objects.update(gas_price_high_gwei=None, gas_price_low_gwei=None)
    for _ in range(30):
        step(FULL)
    assert price() > 5 * HIGH
    assert set(Release.objects.filter(size=0).values_list("reason", flat=True)) <= {Reason.CHAIN_BUSY}
    assert step(HALF).size == 1


def test_a_node_that_stands_still_holds_by_growing_old(sale: Sale, step: Step, now: datetime) -> None:
    assert step(HALF).size == 1
    later = now + timedelta(seconds=12 + 121)
    record = release.release(sale_id=sale.pk, holder="test", now=later)
    assert record is not None
    assert record.reason == Reason.NO_SIGNAL


def test_a_reading_that_cannot_be_true_is_not_taken_and_holds_by_growing_old(
    sale: Sale, step: Step, chain: SimulatedChain, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    step(HALF)
    before = ChainReading.objects.values().get()
    later = now + timedelta(seconds=200)
    lie = FeeReading((0.1,) * 20, (1,) * 21, (1,) * 20, newest_at=int(later.timestamp()) + 3600)
    monkeypatch.setattr(chain, "fee_history", lambda blocks: lie)
    with pytest.raises(BadAnswer, match="ends at"):
        deposits.read_load(client=chain, now=later)
    assert ChainReading.objects.values().get() == before
    record = release.release(sale_id=sale.pk, holder="test", now=later)
    assert record is not None
    assert record.reason == Reason.NO_SIGNAL

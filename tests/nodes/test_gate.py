"""The gate reads a real node: the sale holds while gas is dear or blocks are full, and goes on when they are not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from ico import deposits, nodes, reasons, release
from ico.chains.base import ChainUnavailable
from ico.chains.load import read
from ico.decision import Reason
from ico.models import ChainReading, Release, Sale
from tests.ico.conftest import join, numbered
from tests.nodes import anvil
from tests.nodes.anvil import ETHER, GWEI, Anvil

pytestmark = [pytest.mark.process, pytest.mark.django_db]
HIGH, LOW = 40.0, 30.0
MOST_AGE = 600  # seconds, of a reading


@pytest.fixture
def node(tmp_path: Path, settings) -> Iterator[Anvil]:  # type: ignore[no-untyped-def]
    with anvil.running(tmp_path) as running:
        settings.NODES = {**settings.NODES, "ETH": urlsplit(running.url)}
        settings.ETH_CHAIN_ID = anvil.anvil.CHAIN_ID
        yield running


@pytest.fixture
def waiting(sale: Sale) -> Sale:
    rules = {"batch_size": 1, "batch_interval_seconds": 0, "chain_load_max_age_seconds": MOST_AGE}
    Sale.objects.filter(pk=sale.pk).update(**rules, gas_price_high_gwei=HIGH, gas_price_low_gwei=LOW)
    for number in range(30):
        join(sale, f"v{number}@example.org")
    numbered(sale)
    return sale


def decided(sale: Sale) -> Release:
    """What the follower and the releaser do, once."""
    now = timezone.now()
    deposits.read_load(client=nodes.gauged(), now=now)
    record = release.release(sale_id=sale.pk, holder="test", now=timezone.now())
    assert record is not None
    return record


def block_at(node: Anvil, gwei: int, *, tip: int = GWEI) -> None:
    """A block of this base fee with a few transactions that add this tip."""
    node.set_base_fee(gwei * GWEI)
    one, other = node.accounts()[:2]
    for _ in range(3):
        node.send(one, other, 1, fee=200 * GWEI, tip=tip)
    node.mine()


def test_the_sale_holds_while_gas_is_dear_and_goes_on_below_the_lower_mark(node: Anvil, waiting: Sale) -> None:
    block_at(node, 20)
    assert decided(waiting).reason == Reason.RELEASED
    block_at(node, 50)
    held = decided(waiting)
    assert held.reason == Reason.GAS_PRICE
    reading = ChainReading.objects.get()
    told = node.ask("eth_feeHistory", hex(20), "latest", [50])
    assert reading.base_fee == int(told["baseFeePerGas"][-1], 16)
    assert held.inputs["base_fee_wei"] == reading.base_fee
    assert reasons.recorded_why(held).endswith("gwei is above 40")
    block_at(node, 36)  # below the high mark and not below the low one
    assert decided(waiting) == held
    block_at(node, 20)
    assert decided(waiting).reason == Reason.RELEASED
    block_at(node, 36)  # between the marks again, from below
    assert decided(waiting).reason == Reason.RELEASED


def test_the_tip_that_people_pay_is_part_of_the_price(node: Anvil, waiting: Sale) -> None:
    for _ in range(3):
        block_at(node, 20, tip=25 * GWEI)
    record = decided(waiting)
    assert record.reason == Reason.GAS_PRICE
    assert ChainReading.objects.get().tip >= 12 * GWEI  # the median of three such blocks and the genesis block


def test_full_blocks_hold_and_empty_ones_let_go(node: Anvil, waiting: Sale) -> None:
    Sale.objects.filter(pk=waiting.pk).update(gas_price_high_gwei=None, gas_price_low_gwei=None)
    node.ask("evm_setBlockGasLimit", hex(42_000))  # two transfers fill it
    one, other = node.accounts()[:2]
    for _ in range(20):
        for _ in range(2):
            node.send(one, other, ETHER, fee=2_000 * GWEI)
        node.mine()
    load = read(nodes.gauged(), now=timezone.now().timestamp())
    assert load.ratio > 0.9
    assert decided(waiting).reason == Reason.CHAIN_BUSY
    node.mine(4)  # 0.8: between the marks
    assert 0.7 < read(nodes.gauged(), now=timezone.now().timestamp()).ratio < 0.9
    assert decided(waiting).reason == Reason.CHAIN_BUSY
    node.mine(4)
    assert decided(waiting).reason == Reason.RELEASED


def test_a_node_that_is_away_holds_by_growing_old(node: Anvil, waiting: Sale) -> None:
    block_at(node, 20)
    assert decided(waiting).reason == Reason.RELEASED
    reading = ChainReading.objects.values().get()
    node.stop()
    with pytest.raises(ChainUnavailable):
        deposits.read_load(client=nodes.gauged(), now=timezone.now())
    assert ChainReading.objects.values().get() == reading
    for age, reason in ((MOST_AGE - 1, Reason.RELEASED), (MOST_AGE + 1, Reason.NO_SIGNAL)):
        now = reading["observed_at"] + timedelta(seconds=age)
        record = release.release(sale_id=waiting.pk, holder="test", now=now)
        assert record is not None
        assert record.reason == reason

"""A payment on a real Ethereum node, watched in a real browser: each state appears on the page without a reload."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.beside import beside
from tests.browser.conftest import Stage, Visitor, on_stage, sync_api
from tests.browser.test_journey import enter, seen, sign_up, somebody
from tests.deadline import until
from tests.nodes import anvil
from tests.nodes.anvil import ETHER, Anvil

pytestmark = [pytest.mark.browser, pytest.mark.process]

REQUIRED = 4
PART, REST = ETHER // 10, ETHER // 20  # 350.00 and 175.00 of an allowance of 1,000.00
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# A folder for pictures of each state, for who wants to look at them.
_PICTURES = os.environ.get("TEST_PICTURES")
_UNTOUCHED = "window.untouched"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil.running(tmp_path_factory.mktemp("node")) as running:
        running.mine()
        yield running


@pytest.fixture(scope="module")
def stage(chromium_path: str, node: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The application on this node, with a follower as in production."""
    data = tmp_path_factory.mktemp("stage")
    settings = {"STAMPEDE_ETH_NODE": node.url, "STAMPEDE_ETH_CHAIN_ID": str(node.chain_id)}
    settings |= {"STAMPEDE_ETH_CONFIRMATIONS": str(REQUIRED), "STAMPEDE_POLL_SECONDS": "0.5"}
    with on_stage(data, **settings) as running:
        log = data / "follower.log"
        with beside("follow_chains", environment=running.environment, log=log):
            # What a page waits for is no program's start.
            until(lambda: running.do("followed", "ETH"), f"the follower begins ({log})")
            yield running


class Payer:
    """Somebody who was invited, and waits on the payment page; whatever happens there from now on is no reload."""

    def __init__(self, stage: Stage, node: Anvil, visitor: Visitor) -> None:
        self.page, self._node = visitor.page, node
        address = somebody()
        sign_up(self.page, address)
        stage.do("number")
        node.mine()  # the gate opens to a fresh block only
        assert stage.do("invite") >= 1
        enter(stage, self.page, address)
        self._deposit = self.page.locator("#ETH-address").inner_text()
        self.page.evaluate(f"{_UNTOUCHED} = true")

    def pay(self, amount: int) -> str:
        return self._node.send(self._node.accounts()[0], self._deposit, amount)

    def sees(self, headline: str, *, depth: int, coins: str) -> None:
        """All of it on the page that was there before."""
        seen(self.page, headline)
        for name, text in (("depth", str(depth)), ("seen", coins)):
            sync_api.expect(self._on_ethereum(name)).to_have_text(text, timeout=20_000)
        assert self.page.locator('[data-chain="ETH"] progress').evaluate("bar => bar.value") == depth
        assert self.page.evaluate(_UNTOUCHED) is True, "the page was loaded again"

    def credited(self, amount: str) -> None:
        sync_api.expect(self.page.locator('[data-allowance="credited"]')).to_have_text(amount)

    def _on_ethereum(self, name: str) -> Any:
        return self.page.locator(f'[data-chain="ETH"] [data-deposit="{name}"]')

    def picture(self, name: str) -> None:
        if _PICTURES is None:
            return
        for kind, size in (("wide", WIDE), ("phone", PHONE)):
            self.page.set_viewport_size(size)
            self.page.screenshot(path=Path(_PICTURES) / f"{name}-{kind}.png", full_page=True)


@pytest.fixture
def payer(stage: Stage, node: Anvil, visitor_with: Callable[..., Visitor]) -> Payer:
    return Payer(stage, node, visitor_with(viewport=WIDE))


def test_a_payment_is_seen_confirmed_and_credited_without_a_reload(payer: Payer, node: Anvil) -> None:
    payer.sees("Waiting for your payment", depth=0, coins="0")
    payer.picture("1-awaiting")
    payer.pay(PART)
    payer.sees("Your payment was seen", depth=0, coins="0.1")
    payer.picture("2-seen")
    for depth in range(1, REQUIRED):
        node.mine()
        payer.sees("Your payment is being confirmed", depth=depth, coins="0.1")
        in_the_headline = f"ETH: {depth} of {REQUIRED} confirmations."
        sync_api.expect(payer.page.locator("[data-moving]")).to_have_text(in_the_headline)
        payer.credited("0")
        payer.picture(f"3-confirming-{depth}")
    node.mine()
    payer.sees("Paid and credited", depth=REQUIRED, coins="0.1")
    payer.credited("350")
    payer.picture("4-paid")


def test_a_reorg_takes_back_what_was_not_credited_and_nothing_else(payer: Payer, node: Anvil) -> None:
    payer.pay(PART)
    node.mine(REQUIRED)
    payer.sees("Paid and credited", depth=REQUIRED, coins="0.1")
    payer.pay(REST)
    node.mine(2)
    payer.sees("Your payment is being confirmed", depth=2, coins="0.15")
    payer.picture("5-one-more-confirming")
    node.reorg(2)  # and nobody sends it again
    payer.sees("Paid and credited", depth=REQUIRED, coins="0.1")
    payer.picture("6-one-more-undone")
    payer.credited("350")


def test_a_payment_that_a_reorg_took_out_of_its_block_waits_and_comes_back(payer: Payer, node: Anvil) -> None:
    txid = payer.pay(PART)
    node.mine(2)
    payer.sees("Your payment is being confirmed", depth=2, coins="0.1")
    node.reorg(2)
    payer.sees("Waiting for your payment", depth=0, coins="0")
    payer.picture("7-undone")
    assert payer.pay(PART) == txid, "the wallet sends the same transaction again"
    payer.sees("Your payment was seen", depth=0, coins="0.1")
    payer.picture("8-seen-again")
    node.mine(REQUIRED)
    payer.sees("Paid and credited", depth=REQUIRED, coins="0.1")


def test_the_marker_is_gone_after_a_reload(payer: Payer) -> None:
    """What the other tests look at would tell."""
    payer.page.reload()
    with pytest.raises(AssertionError, match="the page was loaded again"):
        payer.sees("Waiting for your payment", depth=0, coins="0")

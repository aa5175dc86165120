"""What only Bitcoin knows: several outputs in one transaction, a wallet's own replacement, a mempool that outlives the
node, a branch that comes back, and a node that was killed and has forgotten blocks."""

from __future__ import annotations

import pytest

from ico.chains.base import NodeBehind
from ico.models import Deposit
from tests.ico.people import address_of, joined
from tests.nodes.knots_player import KnotsPlayer
from tests.nodes.life import REQUIRED, Life

pytestmark = [pytest.mark.process, pytest.mark.django_db]
LEAST = 294  # satoshi to an address of this kind: less is not handed on


@pytest.fixture
def life(knots_player: KnotsPlayer, sale, now, settings) -> Life:  # type: ignore[no-untyped-def]
    settings.CONFIRMATIONS = {"BTC": REQUIRED, "ETH": REQUIRED}
    return Life(knots_player, sale=sale, now=now)


def test_two_outputs_to_one_address_are_two_deposits(life: Life) -> None:
    (txid,) = life.player.pay([(life.address, 100_000), (life.stranger, 1_000), (life.address, 100_000)])
    life.step()
    life.mine(REQUIRED)
    found = Deposit.objects.order_by("position").values_list("txid", "position", "credited_cents")
    assert list(found) == [(txid, 0, 6_000), (txid, 2, 6_000)]
    assert life.standing() == ("paid", 12_000)


def test_one_transaction_pays_two_people(life: Life, sale, now) -> None:  # type: ignore[no-untyped-def]
    other = joined(sale=sale, now=now)
    life.player.pay([(life.address, 100_000), (address_of(other, "BTC"), 200_000)])
    life.mine(REQUIRED)
    other.refresh_from_db()
    assert (life.standing(), other.credited_cents) == (("paid", 6_000), 12_000)


def test_a_reorg_deeper_than_the_credit_takes_back_each_output(life: Life, sale, now) -> None:  # type: ignore[no-untyped-def]
    other = joined(sale=sale, now=now)
    (txid,) = life.player.pay([(life.address, 100_000), (address_of(other, "BTC"), 200_000), (life.address, 50_000)])
    life.mine(REQUIRED)
    life.player.reorg(REQUIRED, length=REQUIRED + 1, dropped=[txid])
    life.step()
    assert sorted(life.entries()) == [-12_000, -6_000, -3_000, 3_000, 6_000, 12_000]
    other.refresh_from_db()
    assert (life.standing(), other.credited_cents) == (("review", 0), 0)


def test_the_smallest_payment_that_a_node_hands_on_is_kept_exactly(life: Life) -> None:
    life.pay(LEAST)
    life.mine(REQUIRED)
    deposit = Deposit.objects.get()
    assert (deposit.amount, deposit.review, deposit.owed_back) == (LEAST, "dust", LEAST)
    assert life.standing() == ("review", 0)


def test_a_wallet_that_raises_its_fee_is_credited_once(life: Life, knots_player: KnotsPlayer) -> None:
    wallet = knots_player.node
    wallet.mine(101)
    wallet.mine(100)  # the wallet's own coins can be spent now
    life.step()  # the first of two that so many blocks take; what is dropped is found by those that begin at the tip
    old = wallet.send(life.address, life.amount)
    life.step()
    new = wallet.bump(old)
    life.step()
    assert life.states() == {old: "dropped", new: "seen"}
    life.mine(REQUIRED)
    assert (life.states(), life.entries()) == ({old: "dropped", new: "credited"}, [30_000])


def test_what_waits_outlives_the_node(life: Life) -> None:
    txid = life.pay()
    life.player.stop()
    life.player.start()
    life.restart_follower()
    life.step()
    assert (life.states(), life.standing()) == ({txid: "seen"}, ("seen", 0))


def test_a_branch_that_comes_back_brings_its_payment_back(life: Life, knots_player: KnotsPlayer) -> None:
    """There and back again: the blocks that were followed first are followed once more, as they were."""
    txid = life.pay_and_credit()
    lowest = knots_player.node.rpc("getblockhash", knots_player.height() - REQUIRED + 1)
    knots_player.reorg(REQUIRED, length=1, dropped=[txid])
    life.step()
    assert (life.states(), life.standing()) == ({txid: "reorg"}, ("review", 0))
    knots_player.node.rpc("reconsiderblock", lowest)  # the longer branch again
    life.step()
    assert (life.states(), life.standing()) == ({txid: "credited"}, ("paid", 30_000))
    assert life.entries() == [30_000, -30_000, 30_000]


def test_a_killed_node_that_forgot_its_newest_blocks_is_behind_and_not_believed(
    life: Life, knots_player: KnotsPlayer
) -> None:
    knots_player.stop()  # in order: what is there by now is on disk
    knots_player.start()
    txid = life.pay_and_credit()
    known = knots_player.height()
    knots_player.node.kill()
    knots_player.start()
    assert knots_player.height() < known
    with pytest.raises(NodeBehind):
        life.step()
    assert (life.standing(), life.entries()) == (("paid", 30_000), [30_000])
    life.player.mine()  # another block where the payment was: now the chain itself is another
    life.step()
    assert life.standing()[1] == 0
    assert (life.entries(), life.states()) == ([30_000, -30_000], {txid: "reorg"})

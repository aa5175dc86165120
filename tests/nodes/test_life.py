"""The life of a deposit on real nodes, where both chains live it alike: seen, confirming, credited, and all that can
come between."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from ico.chains.base import ChainUnavailable, NodeBehind
from ico.models import Deposit
from tests.nodes.life import REQUIRED, Life

pytestmark = [pytest.mark.process, pytest.mark.django_db]


@pytest.fixture(params=["anvil_player", "knots_player"])
def life(request: pytest.FixtureRequest, sale, now, settings) -> Life:  # type: ignore[no-untyped-def]
    settings.CONFIRMATIONS = {"BTC": REQUIRED, "ETH": REQUIRED}
    settings.NODE_PATIENCE_SECONDS = 600
    return Life(request.getfixturevalue(request.param), sale=sale, now=now)


def test_seen_confirming_and_credited_at_the_depth_and_not_before(life: Life) -> None:
    assert life.standing() == ("awaiting", 0)
    txid = life.pay()
    assert (life.standing(), life.confirmations(), life.states()) == (("seen", 0), 0, {txid: "seen"})
    for depth in range(1, REQUIRED):
        life.mine()
        assert (life.standing(), life.confirmations()) == (("confirming", 0), depth)
    life.mine()
    assert (life.standing(), life.confirmations()) == (("paid", 30_000), REQUIRED)
    life.mine(5)
    assert (life.entries(), life.states()) == ([30_000], {txid: "credited"})
    assert life.arrived() == {(txid, 0): life.amount}


def test_nobody_else_is_credited(life: Life) -> None:
    life.player.pay([(life.stranger, life.amount)])
    life.mine(REQUIRED)
    assert (life.standing(), Deposit.objects.count()) == (("awaiting", 0), 0)


def test_after_a_downtime_a_payment_that_is_deep_already_is_credited_at_once(life: Life) -> None:
    life.player.pay([(life.address, life.amount)])
    life.player.mine(REQUIRED + 250)  # more blocks than one step follows
    while life.step().lag:
        pass
    assert life.standing() == ("paid", 30_000)


def test_a_replaced_payment_is_credited_once(life: Life) -> None:
    old = life.pay()
    new = life.player.replace(old)
    life.step()
    assert life.states() == {old: "dropped", new: "seen"}
    life.mine(REQUIRED)
    assert life.states() == {old: "dropped", new: "credited"}
    assert life.entries() == [30_000]


def test_a_payment_that_is_replaced_and_mined_between_two_steps_is_credited_once(life: Life) -> None:
    old = life.pay()
    new = life.player.replace(old)
    life.mine(REQUIRED)
    life.step()
    assert life.states() == {old: "dropped", new: "credited"}
    assert life.entries() == [30_000]


def test_a_double_spend_is_never_credited(life: Life) -> None:
    txid = life.pay()
    life.player.double_spend(txid, life.stranger)
    life.mine(REQUIRED)
    life.step()
    assert (life.states(), life.standing(), life.entries()) == ({txid: "dropped"}, ("awaiting", 0), [])


def test_a_dropped_payment_is_never_credited(life: Life) -> None:
    txid = life.pay()
    life.player.drop(txid)
    life.mine(REQUIRED)
    life.step()
    assert (life.states(), life.standing(), life.entries()) == ({txid: "dropped"}, ("awaiting", 0), [])


def test_a_reorg_that_mines_a_payment_again_counts_its_depth_anew(life: Life) -> None:
    txid = life.pay()
    life.mine(REQUIRED - 1)
    life.player.reorg(REQUIRED - 1, length=1, mined_again=True)
    life.player.mine()  # as high as before, and the payment as deep
    life.step()
    assert (life.standing(), life.confirmations()) == (("confirming", 0), 2)
    life.player.reorg(2, length=3)  # now it only waits
    life.step()
    assert (life.standing(), life.states()) == (("seen", 0), {txid: "seen"})
    life.mine(REQUIRED - 1)
    assert life.standing() == ("confirming", 0)
    life.mine()
    assert (life.standing(), life.entries()) == (("paid", 30_000), [30_000])


def test_a_reorg_that_loses_a_payment_leaves_nothing_of_it(life: Life) -> None:
    txid = life.pay()
    life.mine(REQUIRED - 1)
    life.player.reorg(REQUIRED - 1, length=REQUIRED, dropped=[txid])
    life.step()
    life.mine(REQUIRED)
    assert (life.states(), life.standing(), life.entries()) == ({txid: "dropped"}, ("awaiting", 0), [])


def test_a_reorg_deeper_than_the_credit_is_compensated_and_an_operator_called(life: Life, caplog) -> None:  # type: ignore[no-untyped-def]
    txid = life.pay_and_credit()
    life.player.reorg(REQUIRED, length=REQUIRED + 1, dropped=[txid])
    with caplog.at_level(logging.ERROR, logger="ico.deposits"):
        life.step()
    assert [record.getMessage() for record in caplog.records] == [
        f"A reorg of {life.chain} undid a settled deposit: {txid}:0, 30000 cents compensated for invitation "
        f"{life.person.pk}"
    ]
    life.mine(REQUIRED)
    assert (life.states(), life.standing(), life.entries()) == ({txid: "dropped"}, ("awaiting", 0), [30_000, -30_000])


def test_a_compensated_payment_that_is_mined_again_is_credited_again(life: Life) -> None:
    txid = life.pay_and_credit()
    life.player.reorg(REQUIRED, length=REQUIRED + 1)
    life.step()
    assert (life.states(), life.standing()) == ({txid: "reorg"}, ("review", 0))
    life.mine(REQUIRED)
    assert (life.states(), life.standing()) == ({txid: "credited"}, ("paid", 30_000))
    assert life.entries() == [30_000, -30_000, 30_000]


def test_a_tip_that_goes_down_undoes_nothing_until_another_block_is_there(life: Life) -> None:
    life.pay_and_credit()
    life.player.reorg(REQUIRED, length=0)
    with pytest.raises(NodeBehind):
        life.step()
    assert life.trouble() != ""
    assert (life.standing(), life.entries()) == (("paid", 30_000), [30_000])
    life.mine()  # the payment is in it, one deep
    assert life.trouble() == ""
    assert (life.standing()[1], life.entries()) == (0, [30_000, -30_000])
    life.mine(REQUIRED - 1)
    assert (life.standing(), life.entries()) == (("paid", 30_000), [30_000, -30_000, 30_000])


def test_a_tip_that_stays_down_is_believed_in_the_end(life: Life) -> None:
    txid = life.pay_and_credit()
    life.player.reorg(REQUIRED, length=0)
    for _ in range(3):
        with pytest.raises(NodeBehind):
            life.step(later=timedelta(seconds=250))
    life.step(later=timedelta(seconds=250))
    assert (life.states(), life.standing(), life.entries()) == ({txid: "reorg"}, ("review", 0), [30_000, -30_000])


def test_restarts_of_node_and_follower_in_between_change_nothing(life: Life) -> None:
    txid = life.pay()
    life.player.mine()
    life.player.stop()
    with pytest.raises(ChainUnavailable):
        life.step()
    assert life.states() == {txid: "seen"}
    life.player.start()
    life.restart_follower()
    life.step()
    assert life.standing() == ("confirming", 0)
    life.player.stop()
    life.player.start()
    life.mine(REQUIRED - 1)
    life.restart_follower()
    life.step()
    assert (life.standing(), life.entries(), life.trouble()) == (("paid", 30_000), [30_000], "")


def test_more_than_the_allowance_is_owed_back_to_the_last_unit(life: Life) -> None:
    life.pay()
    life.pay(life.amount * 3)  # 300.00 and 900.00 into 1000.00
    life.mine(REQUIRED)
    first, second = Deposit.objects.order_by("credited_cents")
    assert (life.standing(), [first.credited_cents, second.credited_cents]) == (("review", 100_000), [30_000, 70_000])
    assert (first.owed_back, second.review) == (0, "excess")
    assert life.worth(second.amount - second.owed_back) == 70_000
    assert life.worth(second.amount - second.owed_back - 1) == 69_999

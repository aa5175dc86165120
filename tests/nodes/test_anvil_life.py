"""What only Ethereum knows: payments that fail in their block, contracts that pay, amounts beyond 64 bits, a nonce for
each payment, blocks that the chain itself calls final."""

from __future__ import annotations

import io
import json
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command

from ico.models import Deposit
from tests.nodes.anvil import ETHER
from tests.nodes.anvil_player import AnvilPlayer
from tests.nodes.life import REQUIRED, Life

pytestmark = [pytest.mark.process, pytest.mark.django_db]

# Sends on all that it gets to the address behind it: what an exchange's contract does when it pays out.
FORWARDING = "0x5f5f5f5f3473{address}5af100"  # PUSH0 x4 CALLVALUE PUSH20 address GAS CALL STOP
FORWARDER = "0x" + "f0" * 20


@pytest.fixture
def life(anvil_player: AnvilPlayer, sale, now, settings) -> Life:  # type: ignore[no-untyped-def]
    settings.CONFIRMATIONS = {"BTC": REQUIRED, "ETH": REQUIRED}
    return Life(anvil_player, sale=sale, now=now)


def test_a_payment_that_fails_in_its_block_is_never_credited(life: Life) -> None:
    (txid,) = life.player.pay([(life.address, life.amount)], fails=True)
    life.step()
    assert life.standing() == ("seen", 0)  # nobody can know before it is in a block
    life.mine()
    assert (life.states(), life.standing(), life.arrived()) == ({txid: "dropped"}, ("awaiting", 0), {})
    life.mine(REQUIRED)
    assert (life.standing(), life.entries()) == (("awaiting", 0), [])


def test_a_failed_payment_beside_a_good_one_does_not_take_it_along(life: Life) -> None:
    (bad,) = life.player.pay([(life.address, life.amount)], fails=True)
    good = life.pay()
    life.mine(REQUIRED)
    assert (life.states(), life.entries()) == ({bad: "dropped", good: "credited"}, [30_000])


def test_amounts_from_one_wei_to_more_than_64_bits_are_kept_exactly(life: Life) -> None:
    least, most = life.pay(1), life.pay(2**70 + 1)
    life.mine(REQUIRED)
    rows = {row.txid: row for row in Deposit.objects.all()}
    assert (rows[least].amount, rows[least].review, rows[least].owed_back) == (1, "dust", 1)
    assert (rows[most].amount, rows[most].review, rows[most].credited_cents) == (2**70 + 1, "excess", 100_000)
    assert rows[most].owed_back == 2**70 + 1 - ETHER // 3 - 1  # 1000.00 at 3000.00 the ether, rounded up to a wei
    assert sum(row.amount for row in rows.values()) == life.player.held([life.address])


def test_a_payment_of_nothing_is_no_deposit(life: Life) -> None:
    life.player.pay([(life.address, 0)])
    life.mine(REQUIRED)
    assert (Deposit.objects.count(), life.standing()) == (0, ("awaiting", 0))


def test_what_a_contract_pays_is_no_deposit_and_the_reconciliation_names_it(life: Life, anvil_player, settings) -> None:  # type: ignore[no-untyped-def]
    anvil_player.node.ask("anvil_setCode", FORWARDER, FORWARDING.format(address=life.address.removeprefix("0x")))
    anvil_player.pay([(FORWARDER, life.amount)])
    life.mine(REQUIRED)
    assert anvil_player.held([life.address]) == life.amount
    assert (Deposit.objects.count(), life.standing()) == (0, ("awaiting", 0))
    settings.NODES = {"BTC": None, "ETH": urlsplit(anvil_player.node.url)}
    told = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", "--chain", "ETH", "--json", stdout=told)
    (named,) = json.loads(told.getvalue())["ETH"]["differences"]
    assert (named["address"].lower(), named["books"], named["chain"]) == (life.address, "0", "0.100000000000000001")


def test_one_nonce_pays_once_whoever_is_paid_first(life: Life, sale, now) -> None:  # type: ignore[no-untyped-def]
    """A double spend to us: the payment to a stranger is replaced by one to our participant."""
    (first,) = life.player.pay([(life.stranger, life.amount)])
    life.step()
    second = life.player.double_spend(first, life.address)
    life.mine(REQUIRED)
    assert (life.states(), life.entries()) == ({second: "credited"}, [30_000])


def test_a_node_that_lost_its_pool_drops_what_waited_and_takes_it_again(life: Life) -> None:
    txid = life.pay()
    life.player.stop()
    life.player.start()  # anvil keeps its chain only
    life.step()
    assert (life.states(), life.standing()) == ({txid: "dropped"}, ("awaiting", 0))
    life.player.again(txid)
    life.step()
    assert life.standing() == ("seen", 0)
    life.mine(REQUIRED)
    assert (life.standing(), life.entries()) == (("paid", 30_000), [30_000])


def test_with_finality_of_the_chain_a_payment_is_credited_when_its_block_is_final(life: Life, settings) -> None:  # type: ignore[no-untyped-def]
    """This node calls final what is two blocks below its tip."""
    settings.ETH_FINALITY = "finalized"
    settings.CONFIRMATIONS = {"BTC": 6, "ETH": 100}
    txid = life.pay()
    life.mine()
    paid_in = life.player.height()
    life.mine()
    assert life.standing() == ("confirming", 0)
    life.mine()
    assert (life.standing(), life.states()) == (("paid", 30_000), {txid: "credited"})
    assert Deposit.objects.get().settled_final == paid_in
    assert life.player.height() == paid_in + 2

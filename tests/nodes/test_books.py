"""The books on real nodes: people who are played pay out of development purses, and what the nodes hold afterwards is
held against the ledger, also when something arrives or goes in a way that no followed transfer shows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from ico import addresses, deposits, investors, nodes
from ico.models import Chain, Deposit, DepositAddress, Invitation, Sale
from tests.ico.people import address_of, joined
from tests.nodes.anvil import ETHER, Anvil
from tests.nodes.anvil import running as anvil_running
from tests.nodes.knots import Knots, coins, knots

pytestmark = [pytest.mark.process, pytest.mark.django_db]
PEOPLE = 10


@pytest.fixture(autouse=True)
def _quick(settings: Any, tmp_path: Path, on_test_networks: None) -> None:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    settings.DATA_DIR = tmp_path
    settings.NODES = {"BTC": None, "ETH": None}


@pytest.fixture
def ethereum(tmp_path: Path, settings: Any) -> Iterator[Anvil]:
    with anvil_running(tmp_path) as node:
        settings.NODES = {**settings.NODES, "ETH": urlsplit(node.url)}
        yield node


@pytest.fixture
def bitcoin(tmp_path: Path, settings: Any) -> Iterator[Knots]:
    with knots(tmp_path) as node:
        node.mine(110)
        settings.NODES = {**settings.NODES, "BTC": urlsplit(node.url)}
        yield node


@pytest.fixture
def people(sale: Sale, now: datetime) -> list[Invitation]:
    for chain in Chain.values:
        addresses.derive(chain=chain, count=PEOPLE + 2)
    return [joined(sale=sale, now=now) for _ in range(PEOPLE)]


EVERY = "exact=1,under=1,over=1,dust=1"


def plans(chain: str) -> set[str]:
    """The manners of those who will pay on this chain."""
    mix = investors.mix_from(EVERY)
    made = [investors.plan_for(key, seed=1, mix=mix) for key in Invitation.objects.values_list("pk", flat=True)]
    return {plan.manner for plan in made if plan.chain == chain}


def play(mix: str) -> str:
    out, errors = io.StringIO(), io.StringIO()
    call_command("play_investors", "--once", "--mix", mix, stdout=out, stderr=errors)
    assert errors.getvalue() == ""
    return out.getvalue()


def follow(chain: str, now: datetime) -> None:
    client = nodes.client_for(chain)
    while deposits.follow(chain=chain, client=client, now=now).lag > 0:
        pass


def reconcile(chain: str, *more: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    code = 0
    try:
        call_command("reconcile", "--wait", "0", "--json", "--chain", chain, *more, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        code = int(ended.code or 0)
    answer: dict[str, Any] = json.loads(out.getvalue())[chain]
    assert answer["trouble"] == ""
    return code, answer


def brief(answer: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(one["kind"], one["address"], one["books"], one["chain"]) for one in answer["differences"]]


def play_every_manner(chain: str, mine: Any, sale: Sale, now: datetime) -> None:
    """Enough people for each manner, who all pay, here or on the other chain, and nobody twice after a new start."""
    while len(plans(chain)) < 4:
        joined(sale=sale, now=now)
    count = Invitation.objects.count()
    follow(chain, now)
    assert f"{count} investors have paid" in play(EVERY)
    assert "0 investors have paid" in play(EVERY)  # waiting for a block
    mine()
    follow(chain, now)
    assert "0 investors have paid" in play("over=1")
    rows = Deposit.objects.filter(chain=chain)
    assert set(rows.values_list("state", "review")) == {("credited", ""), ("review", "excess"), ("review", "dust")}
    derived = DepositAddress.objects.filter(chain=chain).count()
    code, answer = reconcile(chain)
    assert (code, answer["addresses"], answer["counts"], answer["deposits"]) == (0, derived, {}, rows.count())


def test_people_pay_on_anvil_and_the_books_equal_the_node(ethereum: Anvil, people, sale: Sale, now: datetime) -> None:
    play_every_manner("ETH", ethereum.mine, sale, now)
    held = sum(ethereum.balance(row.address) for row in DepositAddress.objects.filter(chain="ETH"))
    assert held == sum(Deposit.objects.filter(chain="ETH").values_list("amount", flat=True)) > 0


def test_what_a_contract_pays_what_nobody_was_given_and_what_the_owner_takes(ethereum: Anvil, people, now) -> None:
    follow("ETH", now)
    payer = ethereum.accounts()[0]
    first, second, third = (address_of(person, "ETH") for person in people[:3])
    spare = addresses.waiting("ETH").order_by("index")[0].address
    for address, amount in ((first, ETHER), (second, ETHER), (third, ETHER), (spare, 7)):
        ethereum.send(payer, address, amount)
    # A contract that, while it is made, hands on what it was given: an internal transfer.
    forwards = f"0x60006000600060003473{second[2:].lower()}5af100"
    ethereum.send(payer, None, 5, gas=200_000, data=forwards)
    ethereum.mine()
    follow("ETH", now)
    assert reconcile("ETH")[0] == 1
    ethereum.ask("anvil_impersonateAccount", first)
    ethereum.send(first, payer, ETHER // 2)
    ethereum.mine()
    follow("ETH", now)
    code, answer = reconcile("ETH")
    assert code == 1
    kept = ethereum.balance(first)
    assert 0 < kept < ETHER // 2
    told = {(kind, address, books) for kind, address, books, _ in brief(answer)}
    assert told == {("moved out", first, "1"), ("more", second, "1"), ("nobody's", spare, "0")}
    by_kind = {one["kind"]: one["chain"] for one in answer["differences"]}
    assert (by_kind["more"], by_kind["nobody's"]) == ("1.000000000000000005", "0.000000000000000007")
    assert reconcile("ETH")[1]["counts"] == {"moved out": 1, "more": 1, "nobody's": 1}


def test_a_node_ahead_of_the_follower_is_no_difference_but_not_compared(ethereum: Anvil, people, now) -> None:
    follow("ETH", now)
    ethereum.send(ethereum.accounts()[0], address_of(people[0], "ETH"), ETHER)
    ethereum.mine()
    code, answer = reconcile("ETH")
    assert (code, answer["counts"]) == (2, {"not compared": 1})
    follow("ETH", now)
    assert reconcile("ETH")[0] == 0


def test_a_reorg_that_was_not_followed_yet_is_not_compared(ethereum: Anvil, people, now) -> None:
    follow("ETH", now)
    ethereum.send(ethereum.accounts()[0], address_of(people[0], "ETH"), ETHER)
    ethereum.mine()
    follow("ETH", now)
    ethereum.go_down(1)
    assert reconcile("ETH")[0] == 0  # lower, and still the same chain: the books know what they knew there
    ethereum.mine()
    code, answer = reconcile("ETH")
    assert (code, answer["counts"]) == (2, {"not compared": 1})
    follow("ETH", now)
    assert reconcile("ETH")[0] == 0


def test_ether_of_another_chain_is_not_played_with(tmp_path: Path, settings: Any, people, now) -> None:
    with anvil_running(tmp_path, chain_id=11155111) as node:
        settings.NODES = {**settings.NODES, "ETH": urlsplit(node.url)}
        with pytest.raises(CommandError, match="chain 11155111: only on a development chain"):
            play("exact=1")
        assert node.height() == 0
        node.mine()
        assert all(node.balance(address_of(person, "ETH")) == 0 for person in people)


def test_people_pay_on_knots_and_the_books_equal_the_node(bitcoin: Knots, people, sale: Sale, now: datetime) -> None:
    play_every_manner("BTC", bitcoin.mine, sale, now)


def test_dust_that_no_bitcoin_node_passes_on_is_paid_as_the_least_it_does(bitcoin: Knots, people, now, sale) -> None:
    Sale.objects.update(minimum_deposit_cents=10)  # 167 satoshi
    follow("BTC", now)
    assert "under" in play("dust=1")
    bitcoin.mine()
    follow("BTC", now)
    assert set(Deposit.objects.filter(chain="BTC").values_list("amount", "state")) == {(294, "credited")}


def test_what_nobody_was_given_and_what_the_owner_takes_on_bitcoin(bitcoin: Knots, people, now) -> None:
    """The owner's address is one of the node's wallet here: our test key's seed was thrown away."""
    follow("BTC", now)
    DepositAddress.objects.filter(invitation=people[0], chain="BTC").update(
        address=bitcoin.rpc("getnewaddress", "", "bech32")
    )
    first, second = (address_of(person, "BTC") for person in people[:2])
    spare = addresses.waiting("BTC").order_by("index")[0].address
    txid = bitcoin.send_many({first: 100_000, second: 50_000, spare: 1_000})
    bitcoin.mine()
    follow("BTC", now)
    assert brief(reconcile("BTC")[1]) == [("nobody's", spare, "0", "0.00001")]
    position = Deposit.objects.get(address__address=first).position
    raw = bitcoin.rpc(
        "createrawtransaction", [{"txid": txid, "vout": position}], [{bitcoin.address(): float(coins(90_000))}]
    )
    bitcoin.rpc("sendrawtransaction", bitcoin.rpc("signrawtransactionwithwallet", raw)["hex"])
    bitcoin.mine()
    follow("BTC", now)
    code, answer = reconcile("BTC")
    assert (code, sorted(brief(answer))) == (
        1,
        [("moved out", first, "0.001", "0"), ("nobody's", spare, "0", "0.00001")],
    )


def test_an_empty_wallet_is_told_and_paid_from_when_it_has_coins(tmp_path: Path, settings: Any, people, now) -> None:
    with knots(tmp_path) as node:
        settings.NODES = {**settings.NODES, "BTC": urlsplit(node.url)}
        follow("BTC", now)
        errors = io.StringIO()
        call_command("play_investors", "--once", "--mix", "exact=1", stdout=io.StringIO(), stderr=errors)
        assert "BTC: not paid, trying again: the Bitcoin wallet has nothing to spend" in errors.getvalue()
        node.mine(101)
        assert "investors have paid" in play("exact=1")
        assert node.rpc("getmempoolinfo")["size"] > 0

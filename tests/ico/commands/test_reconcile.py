"""What an operator reads of the comparison, and the exit code a monitor reads."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from ico import deposits, nodes
from ico.chains.base import ChainUnavailable
from ico.models import Chain, Deposit, Invitation
from tests.ico.people import address_of, joined

ETHER = 10**18


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, settings) -> None:
    settings.DATA_DIR = tmp_path
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}


@pytest.fixture
def person(sale, now) -> Invitation:
    person = joined(sale=sale, now=now)
    follow(now)
    nodes.simulated("ETH").send(address_of(person, "ETH"), ETHER)
    nodes.simulated("BTC").send(address_of(person, "BTC"), 1_000)
    for chain in Chain.values:
        nodes.simulated(chain).mine()
    follow(now)
    return person


def follow(now) -> None:
    for chain in Chain.values:
        deposits.follow(chain=chain, client=nodes.simulated(chain), now=now)


def reconcile(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("reconcile", "--wait", "0", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_equal_books_with_their_sums(person) -> None:
    assert reconcile() == (
        0,
        "BTC: 1 addresses at block 1: no difference\n"
        "BTC: 1 deposits, credited nothing, owed back 0.00001 BTC, on the way 0 BTC, in review 1 dust\n"
        "ETH: 1 addresses at block 1: no difference\n"
        "ETH: 1 deposits, credited 1000.00 EUR, owed back 0.666666666666666666 ETH, on the way 0 ETH,"
        " in review 1 excess\n",
    )


def test_a_difference_is_named_and_is_exit_code_1(person) -> None:
    Deposit.objects.filter(chain="ETH").update(amount=ETHER + 1)
    code, told = reconcile("--chain", "ETH")
    assert code == 1
    first, second, _ = told.splitlines()
    assert first.startswith(f"ETH {address_of(person, 'ETH')}: books 1.000000000000000001, chain 1 (missing: the books")
    assert second == "ETH: 1 addresses at block 1: 1 missing (0.000000000000000001 ETH)"


def test_the_first_ones_are_named_and_all_are_counted(person, sale, now) -> None:
    for _ in range(3):
        other = joined(sale=sale, now=now)
        nodes.simulated("ETH").send(address_of(other, "ETH"), 1)
    nodes.simulated("ETH").mine()
    follow(now)
    Deposit.objects.filter(chain="ETH", amount=1).update(amount=2)
    code, told = reconcile("--chain", "ETH", "--limit", "1")
    assert code == 1
    assert told.splitlines()[1:3] == [
        "ETH: and 2 more differences",
        "ETH: 4 addresses at block 2: 3 missing (0.000000000000000003 ETH)",
    ]


def test_for_machines(person) -> None:
    Deposit.objects.filter(chain="BTC").update(amount=1_001)
    code, told = reconcile("--json")
    answer = json.loads(told)
    assert code == 1
    assert (answer["ETH"]["equal"], answer["BTC"]["equal"]) == (True, False)
    assert answer["BTC"]["counts"] == {"missing": 1}
    (one,) = answer["BTC"]["differences"]
    assert (one["books"], one["chain"], one["kind"], one["height"]) == ("0.00001001", "0.00001", "missing", 1)
    assert answer["ETH"]["owed_back"] == {"excess": "0.666666666666666666"}


@pytest.mark.parametrize("wrong", [False, True])
def test_a_node_that_is_away_is_exit_code_2_unless_there_is_a_difference(person, monkeypatch, wrong: bool) -> None:
    def away(addresses) -> None:
        raise ChainUnavailable("connection refused")

    monkeypatch.setattr(nodes.simulated("BTC"), "balances", away)
    if wrong:
        Deposit.objects.filter(chain="ETH").update(amount=ETHER + 1)
    code, told = reconcile()
    assert code == (1 if wrong else 2)
    assert told.startswith("BTC: could not compare: connection refused\nBTC: 0 addresses: no difference\n")


def test_a_follower_behind_is_exit_code_2(person) -> None:
    nodes.simulated("ETH").send(address_of(person, "ETH"), 1)
    nodes.simulated("ETH").mine()
    code, told = reconcile("--chain", "ETH")
    assert code == 2
    assert "(not compared: the books and the node are not at the same block yet)" in told


def test_what_the_owner_moved_is_no_difference_if_it_is_said(person, monkeypatch, tmp_path) -> None:
    node = nodes.simulated("ETH")
    honest = node.balances
    monkeypatch.setattr(
        node, "balances", lambda addresses: type(told := honest(addresses))(told.block, (0,) * len(told.amounts))
    )
    assert reconcile("--chain", "ETH")[0] == 1
    said = tmp_path / "swept.txt"
    said.write_text(f"# from the wallet\n\n  {address_of(person, 'ETH')}\n")
    code, told = reconcile("--chain", "ETH", "--moved-out", str(said))
    assert code == 0
    assert told.startswith("ETH: 1 addresses at block 1: moved out as said: 1 ETH\n")


@pytest.mark.parametrize("arguments", [["--limit", "-1"], ["--chain", "DOGE"], ["--moved-out", "/nowhere/at/all"]])
def test_what_makes_no_sense_is_refused(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        reconcile(*arguments)

"""What a participant is told of the payment."""

from datetime import timedelta
from hashlib import sha256

import pytest
from django.test import Client

from ico import deposits, invitations, payments
from ico.chains.simulated import SimulatedChain
from ico.models import Invitation, Terms
from ico.payments import Arrived
from tests.ico.people import address_of, joined

ETHER = 10**18


@pytest.fixture
def chains(tmp_path, settings) -> dict[str, SimulatedChain]:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": 3}
    return {name: SimulatedChain(tmp_path / f"{name}.sqlite3", chain=name) for name in ("BTC", "ETH")}


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def answer(chains, person, now):
    def read() -> dict:
        for name, chain in chains.items():
            deposits.follow(chain=name, client=chain, now=now)
        return deposits.status(Invitation.objects.get(pk=person.pk), now=now).as_json()

    return read


def test_the_whole_answer_from_awaiting_to_paid(chains, person, answer, now) -> None:
    first = answer()
    assert first == {
        "state": "awaiting",
        "review": [],
        "allowance": {
            "currency": "EUR",
            "cap": "1000.00",
            "credited": "0.00",
            "remaining": "1000.00",
            "BTC": "0.01666667",
            "ETH": "0.333333333333333334",
        },
        "deposits": [
            {
                "chain": "BTC",
                "address": address_of(person, "BTC"),
                "seen": "0",
                "confirmed": "0",
                "confirmations": 0,
                "required": 2,
            },
            {
                "chain": "ETH",
                "address": address_of(person, "ETH"),
                "seen": "0",
                "confirmed": "0",
                "confirmations": 0,
                "required": 3,
            },
        ],
        "poll_after_seconds": 30,
        "as_of": now.isoformat(),
    }
    chains["ETH"].send(address_of(person, "ETH"), ETHER // 4)
    told = answer()
    assert told["state"] == "seen"
    assert told["deposits"][1] | {"address": ""} == {
        "chain": "ETH",
        "address": "",
        "seen": "0.25",
        "confirmed": "0",
        "confirmations": 0,
        "required": 3,
    }
    chains["ETH"].mine(2)
    told = answer()
    assert (told["state"], told["deposits"][1]["confirmations"]) == ("confirming", 2)
    assert told["allowance"]["credited"] == "0.00"
    chains["ETH"].mine()
    told = answer()
    assert told["state"] == "paid"
    assert told["allowance"] == {
        "currency": "EUR",
        "cap": "1000.00",
        "credited": "750.00",
        "remaining": "250.00",
        "BTC": "0.00416667",
        "ETH": "0.083333333333333334",
    }
    assert told["deposits"][1]["confirmed"] == told["deposits"][1]["seen"] == "0.25"
    assert told["deposits"][1]["confirmations"] == 3


def test_a_second_payment_is_shown_on_its_way_and_then_paid(chains, person, answer) -> None:
    for chain, amount in (("ETH", ETHER // 10), ("BTC", 100_000)):
        chains[chain].send(address_of(person, chain), amount)
        chains[chain].mine(3)
        assert answer()["state"] == "paid"
    chains["BTC"].send(address_of(person, "BTC"), 50_000)
    told = answer()
    assert told["state"] == "seen"
    assert told["deposits"][0]["seen"] == "0.0015"
    assert told["deposits"][0]["confirmed"] == "0.001"
    assert told["deposits"][0]["confirmations"] == 0


def test_more_than_the_allowance_is_in_review(chains, person, answer) -> None:
    chains["ETH"].send(address_of(person, "ETH"), ETHER)
    chains["ETH"].mine(3)
    told = answer()
    assert (told["state"], told["review"]) == ("review", ["excess"])
    assert (told["allowance"]["credited"], told["allowance"]["remaining"]) == ("1000.00", "0.00")
    assert (told["allowance"]["BTC"], told["allowance"]["ETH"]) == ("0", "0")
    assert told["deposits"][1]["confirmed"] == "1"


def test_what_was_dropped_is_not_shown(chains, person, answer) -> None:
    txid = chains["ETH"].send(address_of(person, "ETH"), ETHER)
    assert answer()["state"] == "seen"
    chains["ETH"].drop(txid)
    told = answer()
    assert (told["state"], told["deposits"][1]["seen"]) == ("awaiting", "0")


def test_a_poll_costs_two_queries(chains, person, answer, now, django_assert_num_queries) -> None:
    chains["ETH"].send(address_of(person, "ETH"), ETHER // 10)
    chains["BTC"].send(address_of(person, "BTC"), 1_000_000)
    answer()
    found = Invitation.objects.select_related("sale", "btc_rate", "eth_rate").get(pk=person.pk)
    with django_assert_num_queries(2):
        deposits.status(found, now=now).as_json()
    assert invitations.due_step(found) == "payment"


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([], "awaiting"),
        (["seen"], "seen"),
        (["seen", "confirming"], "confirming"),
        (["credited"], "paid"),
        (["credited", "seen"], "seen"),
        (["credited", "confirming"], "confirming"),
        (["credited", "confirming", "review"], "review"),
    ],
)
def test_one_word_for_all_of_it(states: list[str], word: str) -> None:
    assert payments.overall([Arrived(1, state, "", 0) for state in states]) == word


@pytest.mark.parametrize(
    ("arrived", "reasons"),
    [
        ([("review", "late"), ("review", "excess"), ("review", "late")], ["excess", "late"]),
        ([("review", "reorg"), ("credited", "")], ["reorg"]),
        ([("seen", ""), ("confirming", "")], []),
    ],
)
def test_each_reason_once(arrived: list[tuple[str, str]], reasons: list[str]) -> None:
    assert payments.reasons([Arrived(1, state, review, 0) for state, review in arrived]) == reasons


WORDS = {
    "excess": "More arrived than your allowance.",
    "dust": "less than the minimum of 1 EUR.",
    "late": "after your time to pay was over.",
    "reorg": "The chain took back a block",
}


def shown(page: str) -> set[str]:
    """The reasons whose words a reader sees."""
    found = {line.split('"')[1]: line for line in page.splitlines() if line.startswith("<p data-why=")}
    assert found.keys() == WORDS.keys()
    assert all(WORDS[reason] in line for reason, line in found.items())
    return {reason for reason, line in found.items() if " hidden>" not in line}


def test_the_page_says_why_a_payment_is_in_review(chains, person, answer, now) -> None:
    token = invitations.token_of(person.nonce)
    digest = sha256(token.encode()).hexdigest()
    Invitation.objects.filter(pk=person.pk).update(token_digest=digest, terms=Terms.objects.get(), accepted_at=now)

    def page() -> set[str]:
        answer()
        response = Client().get(f"/i/{token}/payment/")
        told = Client().get(f"/api/payment/{token}").json()
        assert response.status_code == 200
        assert told["review"] == [reason for reason in WORDS if reason in shown(response.content.decode())]
        return shown(response.content.decode())

    assert page() == set()
    chains["BTC"].send(address_of(person, "BTC"), 1_000)
    chains["BTC"].mine(2)
    assert page() == {"dust"}
    txid = chains["ETH"].send(address_of(person, "ETH"), ETHER)
    chains["ETH"].mine(3)
    assert page() == {"dust", "excess"}
    chains["ETH"].reorg(3, dropped=[txid])
    assert page() == {"dust", "reorg"}
    Invitation.objects.filter(pk=person.pk).update(pay_until=now)
    chains["BTC"].send(address_of(person, "BTC"), 100_000)
    late = now + timedelta(hours=1)
    chains["BTC"].mine(2, now=late.timestamp())
    deposits.follow(chain="BTC", client=chains["BTC"], now=late)
    assert page() == {"dust", "late", "reorg"}

"""What a participant is told of the payment."""

from datetime import datetime, timedelta

import pytest
from django.db.models import F

from ico import deposits, invitations, payments
from ico.models import ChainCursor, Invitation
from ico.payments import Arrived
from tests.ico.people import address_of

ETHER = 10**18


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
                "final": "depth",
            },
            {
                "chain": "ETH",
                "address": address_of(person, "ETH"),
                "seen": "0",
                "confirmed": "0",
                "confirmations": 0,
                "required": 3,
                "final": "depth",
            },
        ],
        "poll_after_seconds": 30,
        "unseen": [],
        "as_of": now.isoformat(),
        "now": now.isoformat(),
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
        "final": "depth",
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


def told(person: Invitation, moment: datetime) -> dict:
    return deposits.status(Invitation.objects.get(pk=person.pk), now=moment).as_json()


def test_what_was_known_is_of_when_both_chains_were_looked_at(chains, person, answer, now) -> None:
    """While nobody follows, "nothing has arrived" is of the moment when somebody did."""
    assert (answer()["as_of"], answer()["unseen"]) == (now.isoformat(), [])
    soon, later = now + payments.IN_SIGHT, now + payments.IN_SIGHT + timedelta(seconds=1)
    assert (told(person, soon)["as_of"], told(person, soon)["unseen"]) == (now.isoformat(), [])
    blind = told(person, later)
    assert (blind["as_of"], blind["now"], blind["unseen"]) == (now.isoformat(), later.isoformat(), ["BTC", "ETH"])
    deposits.follow(chain="BTC", client=chains["BTC"], now=later)
    assert (told(person, later)["as_of"], told(person, later)["unseen"]) == (now.isoformat(), ["ETH"])
    deposits.follow(chain="ETH", client=chains["ETH"], now=later)
    assert (told(person, later)["as_of"], told(person, later)["unseen"]) == (later.isoformat(), [])


def test_a_chain_that_nobody_ever_followed_is_known_from_before_the_addresses_were_there(person, now) -> None:
    first = told(person, now + timedelta(hours=1))
    assert (first["as_of"], first["unseen"]) == (person.joined_at.isoformat(), ["BTC", "ETH"])


def test_blocks_that_wait_to_be_read_are_told_at_once(person, answer, now) -> None:
    assert answer()["unseen"] == []
    ChainCursor.objects.filter(chain="ETH").update(tip_height=F("height") + 1)
    assert told(person, now)["unseen"] == ["ETH"]


def test_a_step_that_failed_is_told_when_no_other_succeeds_within_a_minute(person, answer, now) -> None:
    assert answer()["unseen"] == []
    ChainCursor.objects.filter(chain="ETH").update(trouble="the node is away", trouble_since=now)
    assert told(person, now + payments.IN_SIGHT)["unseen"] == []
    assert "ETH" in told(person, now + payments.IN_SIGHT + timedelta(seconds=1))["unseen"]


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

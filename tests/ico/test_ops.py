"""What the panel says of the gate, the chains and what a person must look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from ico import addresses, figures, leases, release
from ico.models import ChainCursor, ChainReading, Deposit, Sale
from tests.ico.conftest import invite_all, join, read_load
from tests.ico.people import joined

pytestmark = pytest.mark.django_db
GWEI = 10**9
UNDONE = (
    "1 deposit undone by a reorg after having been credited or owed back: 0.000000000000000007 ETH in all that arrived."
)
MARKUP = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'

Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(admin_client: Client, sale: Sale) -> Asked:
    def data(query: str = "") -> dict[str, Any]:
        cache.clear()
        answer = admin_client.get(f"/ops/data.json{query}")
        assert answer.status_code == 200
        return dict(answer.json())

    return data


@pytest.fixture
def at_work(now: datetime, sale: Sale) -> None:
    for chain in ("BTC", "ETH"):
        assert leases.held(f"follow:{chain}", holder="test", seconds=60, now=timezone.now())
        ChainCursor.objects.update_or_create(
            chain=chain, defaults={"height": 100, "tip_height": 103, "followed_at": timezone.now()}
        )


def decide(sale: Sale, now: datetime) -> None:
    assert release.release(sale_id=sale.pk, holder="test", now=now)


def texts(answer: dict[str, Any]) -> list[str]:
    return [alarm["text"] for alarm in answer["alarms"]]


def test_why_nobody_is_invited_now_and_at_first(ask: Asked, sale: Sale) -> None:
    Sale.objects.filter(pk=sale.pk).update(gas_price_high_gwei=40, gas_price_low_gwei=35)
    begun = timezone.now()
    read_load(0.5, begun, base_fee=47 * GWEI, tip=1_200_000_000)
    decide(sale, begun)
    read_load(0.5, timezone.now(), base_fee=36 * GWEI)
    later = timezone.now()
    decide(sale, later)
    answer = ask("?history=1")
    hold = answer["hold"]
    assert hold["why"] == "the gas price 37.0 gwei has not fallen below 35"
    assert hold["at_first"] == "the gas price 48.2 gwei is above 40"
    assert datetime.fromisoformat(hold["since"]) == begun
    (decision,) = answer["decisions"]
    assert (decision["text"], decision["repeats"]) == ("the gas price 48.2 gwei is above 40", 2)
    gate = answer["gate"]
    assert (gate["closed"], gate["price"], gate["price_text"]) == (True, 37.0, "37.0")
    assert (gate["high"], gate["low"], gate["price_high"], gate["price_low"]) == (0.9, 0.7, 40, 35)
    assert [(past["size"], past["price"], past["price_high"]) for past in answer["history"]] == [(0, 48.2, 40)]
    assert answer["last_batch"] is None


def test_the_load_and_then_the_price_are_one_hold(ask: Asked, sale: Sale) -> None:
    Sale.objects.filter(pk=sale.pk).update(gas_price_high_gwei=40, gas_price_low_gwei=35)
    begun = timezone.now()
    Sale.objects.filter(pk=sale.pk).update(paused=True)
    decide(sale, begun)
    Sale.objects.filter(pk=sale.pk).update(paused=False)
    for second, (load, base_fee) in enumerate([(0.95, 50), (0.5, 50), (0.8, 20)], start=1):
        read_load(load, begun, base_fee=base_fee * GWEI)
        decide(sale, begun + timedelta(seconds=second))
    answer = ask()
    assert [row["reason"] for row in answer["decisions"]] == ["chain_busy", "gas_price", "chain_busy", "paused"]
    assert answer["hold"] == {
        "why": "the chain's load 0.80 has not fallen below 0.70",
        "since": (begun + timedelta(seconds=1)).isoformat(),
        "at_first": "the chain's load 0.95 is above 0.90 and the gas price 51.0 gwei is above 40",
    }


def test_a_reading_that_grows_old_is_named_with_its_age(ask: Asked, sale: Sale) -> None:
    decide(sale, timezone.now())
    assert ask()["hold"]["why"] == "the chain's load was never read"
    read_load(0.5, timezone.now() - timedelta(seconds=300))
    assert ask()["hold"]["why"].startswith("the newest reading of the chain's load is 30")


def test_the_last_batch_is_known_however_many_holds_came_after_it(ask: Asked, sale: Sale, now: datetime) -> None:
    join(sale, "ada@example.org")
    invite_all(sale, now)
    for second in range(1, 30):  # the load, the price, the load ...
        read_load(0.95 if second % 2 else 0.5, now + timedelta(seconds=second))
        Sale.objects.filter(pk=sale.pk).update(paused=second % 2 == 0)
        decide(sale, now + timedelta(seconds=second))
    answer = ask()
    assert not any(decision["size"] for decision in answer["decisions"])
    assert answer["last_batch"]["size"] == 1


def test_a_chain_is_a_row_with_its_network_addresses_and_trouble(ask: Asked, sale: Sale, at_work: None) -> None:
    joined(sale=sale, now=timezone.now())
    addresses.derive(chain="BTC", count=5)
    since = timezone.now() - timedelta(minutes=4)
    ChainCursor.objects.filter(chain="ETH").update(trouble=MARKUP, trouble_since=since)
    answer = ask()
    bitcoin, ethereum = answer["chains"]
    free = addresses.waiting("BTC").count()
    assert (bitcoin["chain"], bitcoin["network"], bitcoin["trouble"]) == ("BTC", "simulated", "")
    assert (bitcoin["height"], bitcoin["tip"], bitcoin["behind"]) == (100, 103, 3)
    assert (bitcoin["given"], bitcoin["highest"], bitcoin["ahead"]) == (1, 0, free)
    assert free >= 5
    assert bitcoin["gap_limit"] >= 20
    assert ethereum["trouble"] == MARKUP
    assert datetime.fromisoformat(ethereum["since"]) == since
    assert texts(answer) == [f"Ethereum: {MARKUP}"]


def test_while_a_node_is_in_trouble_nobody_knows_how_far_it_is_ahead(ask: Asked, at_work: None) -> None:
    def behind() -> tuple[int | None, bool]:
        told = {labels for figure, labels, _ in figures._chains() if figure is figures.BEHIND}
        return ask()["chains"][1]["behind"], ("ETH",) in told

    assert behind() == (3, True)
    ChainCursor.objects.filter(chain="ETH").update(trouble="gone", trouble_since=timezone.now())
    assert behind() == (None, False)


@pytest.mark.parametrize(("chain", "seconds"), [("BTC", 7_200), ("ETH", 300)])
def test_a_node_that_stands_still(
    ask: Asked, at_work: None, settings: Any, monkeypatch: pytest.MonkeyPatch, chain: str, seconds: int
) -> None:
    def alarms_at(age: float) -> list[str]:
        ChainCursor.objects.filter(chain=chain).update(tip_at=timezone.now() - timedelta(seconds=age))
        return texts(ask())

    label = {"BTC": "Bitcoin", "ETH": "Ethereum"}[chain]
    still = [f"{label}: no new block. The node stands still; nobody's time to pay ends meanwhile."]
    monkeypatch.setitem(settings.NODES, chain, "a real one")
    assert alarms_at(seconds - 30) == []
    assert alarms_at(seconds + 1) == still
    row = ask()["chains"][["BTC", "ETH"].index(chain)]
    assert seconds <= row["tip_age_seconds"] < seconds + 60
    ages = {labels: value for figure, labels, value in figures._chains() if figure is figures.TIP_AGE}
    assert seconds <= ages[chain,] < seconds + 60
    monkeypatch.setitem(settings.NODES, chain, None)
    settings.SIMULATED_BLOCK_SECONDS = {"BTC": 2, "ETH": 2}
    assert alarms_at(20) == []
    assert alarms_at(61) == still, "a simulated chain has its own pace"


def test_a_follower_that_is_not_at_work(ask: Asked, sale: Sale, at_work: None) -> None:
    assert ask()["alarms"] == []
    leases.give_up("follow:BTC", holder="test")
    assert ask()["alarms"] == []  # it has just gone: another may be about to take over
    ChainCursor.objects.filter(chain="BTC").update(followed_at=timezone.now() - timedelta(seconds=31))
    (alarm,) = ask()["alarms"]
    assert (alarm["grave"], alarm["text"]) == (True, "Nobody follows Bitcoin: no payment is seen.")
    ChainCursor.objects.all().delete()
    leases.give_up("follow:ETH", holder="test")
    answer = ask()
    assert texts(answer)[1] == "Nobody follows Ethereum: no payment is seen."
    assert [row["height"] for row in answer["chains"]] == [None, None]


def test_deposits_that_only_a_person_can_settle(ask: Asked, sale: Sale, now: datetime, at_work: None) -> None:
    person = joined(sale=sale, now=now)
    found = {"amount": 7, "state": "review", "first_seen_at": now, "settled_at": now}
    for number, (chain, review, owed) in enumerate(
        [("BTC", "excess", 50_000_000), ("BTC", "dust", 7), ("ETH", "excess", 10**19), ("ETH", "reorg", 0)]
    ):
        address = person.addresses.get(chain=chain)
        Deposit.objects.create(**found, chain=chain, txid=f"{number}", address=address, review=review, owed_back=owed)
    undone, in_review = ask()["alarms"]
    assert (undone["grave"], undone["text"]) == (True, UNDONE)
    assert undone["url"] == "/admin/ico/deposit/?state__exact=review&review__exact=reorg"
    assert in_review["text"] == (
        "3 deposits in review (1 below the minimum, 2 more than the allowance). Owed back: 0.50000007 BTC and 10 ETH."
    )
    assert (in_review["grave"], in_review["url"]) == (False, "/ops/owed/")


def test_the_pages_that_alarms_lead_to_exist(admin_client: Client, sale: Sale) -> None:
    for url in ("/admin/ico/deposit/?state__exact=review&review__exact=reorg", "/ops/owed/"):
        assert admin_client.get(url).status_code == 200


def test_without_any_reading_the_panel_answers(ask: Asked) -> None:
    assert not ChainReading.objects.exists()
    answer = ask()
    assert (answer["gate"]["load"], answer["gate"]["price"], answer["hold"]) == (None, None, None)

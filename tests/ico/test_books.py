"""What is credited and what is owed back: under, exact, over, late and dust; on one chain and on both; to the wei."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db.models import Sum
from hypothesis import example, given
from hypothesis import strategies as st

from config.audit import Evidence
from ico import books, caps, deposits, invitations, money_invariants
from ico.chains.simulated import SimulatedChain
from ico.models import Chain, Deposit, Invitation, LedgerEntry, Rate, Sale
from tests.ico.people import address_of, joined

ETHER = 10**18
FULL = ETHER // 3 + 1  # fills an allowance of 100,000 cents at 300,000 cents per ether
FULL_BTC = 1_666_667  # the same at 6,000,000 cents per bitcoin


@pytest.fixture
def chains(tmp_path, settings) -> dict[str, SimulatedChain]:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    return {name: SimulatedChain(tmp_path / f"{name}.sqlite3", chain=name) for name in Chain.values}


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def pay(chains, person, now) -> Callable[..., list[tuple[str, int, int]]]:
    """Pays a person in one transaction and follows it; what became of its outputs: (review, cents, owed back)."""

    def run(chain: str, *amounts: int, to: Invitation = person, at: datetime = now) -> list[tuple[str, int, int]]:
        txid = chains[chain].send_many([(address_of(to, chain), amount) for amount in amounts])
        chains[chain].mine(now=at.timestamp())
        deposits.follow(chain=chain, client=chains[chain], now=at)
        rows = Deposit.objects.filter(txid=txid).order_by("position")
        return list(rows.values_list("review", "credited_cents", "owed_back"))

    for name, chain in chains.items():
        deposits.follow(chain=name, client=chain, now=now)
    return run


def credited(person: Invitation) -> int:
    person.refresh_from_db()
    assert (LedgerEntry.objects.filter(invitation=person).aggregate(sum=Sum("cents"))["sum"] or 0) == (
        person.credited_cents
    )
    return person.credited_cents


@given(
    amount=st.integers(min_value=1, max_value=10**22),
    cents_per_coin=st.integers(min_value=1, max_value=10**12),
    room=st.integers(min_value=0, max_value=10**9),
    minimum=st.integers(min_value=0, max_value=10**6),
    in_time=st.booleans(),
    chain=st.sampled_from(["BTC", "ETH"]),
)
def test_every_unit_is_credited_or_owed_but_for_less_than_a_cent(
    amount: int, cents_per_coin: int, room: int, minimum: int, in_time: bool, chain: str
) -> None:
    rate = Rate(chain=chain, cents_per_coin=cents_per_coin)
    booking = books.judge(
        amount=amount, chain=chain, rate=rate, room_cents=room, minimum_cents=minimum, in_time=in_time
    )
    worth = caps.worth_cents(amount, rate, chain)
    assert 0 <= booking.cents <= min(worth, room)
    assert 0 <= booking.owed_back <= amount
    if booking.review:
        assert booking.owed_back == amount - caps.amount_for(booking.cents, rate, chain) > 0
    else:
        assert booking.owed_back == 0
        assert booking.cents == worth or amount == caps.amount_for(booking.cents, rate, chain)
        assert worth >= max(min(minimum, room), 1)
    if booking.cents:
        assert in_time


@given(
    cents_per_coin=st.integers(min_value=1, max_value=caps.MOST_CENTS),
    room=st.integers(min_value=1, max_value=10**9),
    minimum=st.integers(min_value=0, max_value=10**6),
    chain=st.sampled_from(["BTC", "ETH"]),
)
@example(cents_per_coin=1_500_000_000, room=100_001, minimum=100, chain="BTC")  # yen: 15 hundredths to the satoshi
@example(cents_per_coin=6_000_000, room=99, minimum=100, chain="BTC")  # less is left than anybody should pay
def test_who_pays_what_the_page_shows_is_credited_and_owed_nothing(
    cents_per_coin: int, room: int, minimum: int, chain: str
) -> None:
    rate = Rate(chain=chain, cents_per_coin=cents_per_coin)
    shown = caps.amount_for(room, rate, chain)

    def booked(amount: int) -> books.Booking:
        return books.judge(amount=amount, chain=chain, rate=rate, room_cents=room, minimum_cents=minimum, in_time=True)

    assert booked(shown) == books.Booking(cents=room, owed_back=0, review="")
    more = shown + max(1, caps.amount_for(1, rate, chain))  # the control: by a cent more it is too much
    assert booked(more) == books.Booking(cents=room, owed_back=more - shown, review="excess")


def test_under_and_several_times_until_it_is_exact(person, pay) -> None:
    assert pay("ETH", ETHER // 10) == [("", 30_000, 0)]
    assert pay("ETH", ETHER // 10) == [("", 30_000, 0)]
    assert pay("ETH", caps.amount_for(40_000, person.eth_rate, "ETH")) == [("", 40_000, 0)]
    assert credited(person) == person.allowance_cents
    assert pay("ETH", 10**15) == [("excess", 0, 10**15)]


@pytest.mark.parametrize(
    ("chain", "amount", "became"),
    [
        ("ETH", FULL - 1, ("", 99_999, 0)),  # a wei less is worth a cent less
        ("ETH", FULL, ("", 100_000, 0)),
        ("ETH", FULL + 1, ("", 100_000, 0)),  # less than a cent more is nothing
        ("ETH", FULL + ETHER // 300_000 - 2, ("", 100_000, 0)),
        ("ETH", FULL + ETHER // 300_000, ("excess", 100_000, ETHER // 300_000)),
        ("ETH", 987 * ETHER + 123_456_789, ("excess", 100_000, 987 * ETHER + 123_456_789 - FULL)),
        ("BTC", FULL_BTC - 1, ("", 99_999, 0)),
        ("BTC", FULL_BTC, ("", 100_000, 0)),
        ("BTC", 21 * 10**14, ("excess", 100_000, 21 * 10**14 - FULL_BTC)),
    ],
)
def test_just_at_the_cap_to_the_last_unit(person, pay, chain: str, amount: int, became: tuple[str, int, int]) -> None:
    assert pay(chain, amount) == [became]
    assert credited(person) == became[1]


def test_the_cap_is_one_for_both_chains(person, pay) -> None:
    assert pay("BTC", 1_000_000) == [("", 60_000, 0)]
    rest = caps.amount_for(40_000, person.eth_rate, "ETH")
    assert pay("ETH", ETHER) == [("excess", 40_000, ETHER - rest)]
    assert pay("BTC", 1_000_000) == [("excess", 0, 1_000_000)]
    assert credited(person) == 100_000


def test_one_address_twice_in_one_transaction_is_two_deposits_under_one_cap(person, pay) -> None:
    most = caps.amount_for(70_000, person.eth_rate, "ETH")
    rest = caps.amount_for(30_000, person.eth_rate, "ETH")
    assert pay("ETH", most, 7, most) == [("", 70_000, 0), ("dust", 0, 7), ("excess", 30_000, most - rest)]
    assert credited(person) == 100_000


def test_dust_stays_dust_however_much_of_it_arrives(person, pay) -> None:
    least = caps.amount_for(person.sale.minimum_deposit_cents, person.btc_rate, "BTC")
    assert pay("BTC", *[least - 1] * 3, least) == [*[("dust", 0, least - 1)] * 3, ("", 100, 0)]
    assert credited(person) == 100


@pytest.mark.parametrize("cents_per_coin", [1, 299_999, 333_333, 700_001])
def test_the_rate_fixed_on_the_invitation_counts_whatever_it_is_later(sale, now, pay, cents_per_coin: int) -> None:
    caps.record_rate(chain="ETH", cents_per_coin=cents_per_coin, source="then", now=now)
    invited_then = joined(sale=sale, now=now)
    caps.record_rate(chain="ETH", cents_per_coin=9 * cents_per_coin, source="later", now=now)
    amount = 777 * ETHER + 777
    worth = amount * cents_per_coin // ETHER
    smallest = -(-100_000 * ETHER // cents_per_coin)
    expected = ("", worth, 0) if worth <= 100_000 else ("excess", 100_000, amount - smallest)
    assert pay("ETH", amount, to=invited_then) == [expected]
    assert credited(invited_then) == expected[1]


@pytest.mark.parametrize("allowance_cents", [100_000, 100_001])
def test_a_satoshi_that_is_worth_several_cents_still_fills_exactly(sale, now, pay, allowance_cents: int) -> None:
    caps.record_rate(chain="BTC", cents_per_coin=1_500_000_000, source="in yen", now=now)
    person = joined(sale=sale, now=now, allowance_cents=allowance_cents)
    fill = caps.amount_for(allowance_cents, person.btc_rate, "BTC")
    assert caps.worth_cents(fill, person.btc_rate, "BTC") > allowance_cents
    assert pay("BTC", fill, to=person) == [("", allowance_cents, 0)]
    assert pay("BTC", 7, to=person) == [("excess", 0, 7)]
    assert Deposit.objects.filter(state="credited").count() == 1
    explained = money_invariants.deposits_explained(Evidence(now=now))
    assert (explained.checked, explained.breaches) == (2, ())


def test_what_comes_after_the_time_is_late_and_the_line_has_the_allowance(sale, person, pay, chains, now) -> None:
    """By policy: what was reserved and not paid went back to the line, so what arrives then is owed back."""
    Sale.objects.filter(pk=sale.pk).update(total_cap_cents=person.allowance_cents)
    after = person.pay_until + timedelta(minutes=1)
    assert not caps.reserve(sale.pk, 100_000)
    for name, chain in chains.items():
        chain.mine(now=after.timestamp())
        deposits.follow(chain=name, client=chain, now=after)
    assert invitations.expire(now=after) == 1
    assert caps.reserve(sale.pk, 100_000)  # somebody else has it now
    assert pay("ETH", FULL, at=after) == [("late", 0, FULL)]
    person.refresh_from_db()
    assert (person.state, person.allowance_cents, credited(person)) == ("expired", 0, 0)
    assert Sale.objects.get(pk=sale.pk).reserved_cents == 100_000


def test_who_paid_a_part_in_time_keeps_it_and_the_rest_is_late(sale, person, pay, chains) -> None:
    assert pay("ETH", ETHER // 10) == [("", 30_000, 0)]
    after = person.pay_until + timedelta(minutes=1)
    for name, chain in chains.items():
        chain.mine(now=after.timestamp())
        deposits.follow(chain=name, client=chain, now=after)
    assert invitations.expire(now=after) == 1
    assert Sale.objects.get(pk=sale.pk).reserved_cents == 30_000
    assert pay("ETH", ETHER // 10, at=after) == [("late", 0, ETHER // 10)]
    assert credited(person) == person.allowance_cents == 30_000


def test_everybody_pays_too_much_and_the_total_cap_holds(sale, now, pay, person) -> None:
    Sale.objects.filter(pk=sale.pk).update(total_cap_cents=500_000)
    people = [person, *[joined(sale=sale, now=now) for _ in range(4)]]
    assert not caps.reserve(sale.pk, 1)
    for n, one in enumerate(people):
        pay("BTC" if n % 2 else "ETH", 5 * FULL_BTC if n % 2 else 5 * FULL, to=one)
    booked = LedgerEntry.objects.aggregate(sum=Sum("cents"))["sum"]
    assert booked == sum(map(credited, people)) == Sale.objects.get(pk=sale.pk).total_cap_cents


def test_without_the_room_that_is_left_the_personal_cap_would_be_passed(person, pay, monkeypatch) -> None:
    """The negative control: a booking that does not look at what is credited is refused by the conditional UPDATE."""
    honest = books.judge
    monkeypatch.setattr(books, "judge", lambda **given: honest(**{**given, "room_cents": 10**9}))
    with pytest.raises(books.CapMoved):
        pay("ETH", ETHER)
    assert not Deposit.objects.exists()
    assert credited(person) == 0

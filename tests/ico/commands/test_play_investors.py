"""Investors who are played: deterministic, each once, in every manner."""

import io
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from ico import addresses, caps, deposits, investors, nodes, purses
from ico.chains.base import ChainUnavailable
from ico.chains.purse import RealMoney
from ico.models import Chain, Deposit, DepositAddress, Invitation, Sale
from tests.ico.people import joined


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, settings) -> None:
    settings.DATA_DIR = tmp_path
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}


@pytest.fixture
def people(sale, now) -> list[Invitation]:
    return [joined(sale=sale, now=now) for _ in range(12)]


def play(*arguments: str) -> str:
    out = io.StringIO()
    call_command("play_investors", "--once", *arguments, stdout=out)
    return out.getvalue()


def outcome(now) -> dict[int, tuple[str, str]]:
    for name in Chain.values:
        client = nodes.simulated(name)
        client.mine()
        deposits.follow(chain=name, client=client, now=now)
    rows = Deposit.objects.select_related("address")
    assert len({row.address.invitation_id for row in rows}) == len(rows)
    return {row.address.invitation_id: (row.state, row.review) for row in rows}


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        ("exact", ("credited", "")),
        ("under", ("credited", "")),
        ("over", ("review", "excess")),
        ("dust", ("review", "dust")),
    ],
)
def test_each_manner_ends_as_it_should(people, now, manner: str, told: tuple[str, str]) -> None:
    for name in Chain.values:
        deposits.follow(chain=name, client=nodes.simulated(name), now=now)
    assert f"12 investors have paid: 12 {manner}; done" in play("--mix", f"{manner}=1")
    assert outcome(now) == {person.pk: told for person in people}
    full = Invitation.objects.filter(credited_cents=100_000).count()
    assert full == (12 if manner in ("exact", "over") else 0)


def test_the_late_ones_wait_until_it_is_too_late(people, now) -> None:
    for name in Chain.values:
        deposits.follow(chain=name, client=nodes.simulated(name), now=now)
    assert "0 investors have paid; done" in play("--mix", "late=1")
    Invitation.objects.update(pay_until=now - timedelta(seconds=1))
    assert "12 late" in play("--mix", "late=1")
    assert outcome(now) == {person.pk: ("review", "late") for person in people}


def test_nobody_pays_twice_whatever_is_restarted(people, now) -> None:
    assert "12 investors have paid" in play("--mix", "exact=1")
    assert "0 investors have paid" in play("--mix", "exact=1")
    outcome(now)
    assert "0 investors have paid" in play("--mix", "over=1", "--seed", "99")


def test_the_seed_decides_who_does_what() -> None:
    def plans(seed: int) -> list[investors.Plan]:
        return [investors.plan_for(number, seed=seed, mix=investors.USUAL) for number in range(200)]

    assert plans(1) == plans(1) != plans(2)
    assert {plan.manner for plan in plans(1)} == set(investors.MANNERS)
    assert {plan.chain for plan in plans(1)} == {"BTC", "ETH"}


@pytest.mark.parametrize("mix", ["exact", "exact=-1", "exact=0", "early=3", "exact=1,,over=2"])
def test_a_mix_that_makes_no_sense_is_refused(db: None, mix: str) -> None:
    with pytest.raises(CommandError):
        play("--mix", mix)


def test_it_ends_after_its_time(db: None) -> None:
    out = io.StringIO()
    call_command("play_investors", "--for", "0", stdout=out)
    assert out.getvalue() == "0 investors have paid; done\n"


def player(mix: str = "exact=1", seed: int = 1) -> investors.Player:
    return investors.Player(
        purses={name: nodes.simulated(name) for name in Chain.values}, seed=seed, mix=investors.mix_from(mix)
    )


def look(one: investors.Player, now) -> list[investors.Payment]:
    return [payment for chain in Chain.values for payment in one.pay_due(chain=chain, now=now)]


def test_each_look_begins_where_the_last_one_ended(people, sale, now, monkeypatch) -> None:
    one = player()
    for chain in Chain.values:
        addresses.derive(chain=chain, count=5)
    assert len(look(one, now)) == 12
    planned = []
    honest = investors.plan_for
    monkeypatch.setattr(investors, "plan_for", lambda key, **options: planned.append(key) or honest(key, **options))
    assert look(one, now) == []
    assert planned == []
    late_comer = joined(sale=sale, now=now)
    assert [payment.invitation_id for payment in look(one, now)] == [late_comer.pk]
    assert set(planned) == {late_comer.pk}


def test_who_was_given_a_higher_address_first_is_not_forgotten(sale, now) -> None:
    """Two who join at the same moment: the one who locked the lower address commits last."""
    for chain in Chain.values:
        addresses.derive(chain=chain, count=4)
    one = player()
    first = joined(sale=sale, now=now)
    rows = DepositAddress.objects.filter(invitation=first)
    for row in rows:  # as if address 0 were still in somebody's hands
        higher = DepositAddress.objects.get(chain=row.chain, index=2)
        DepositAddress.objects.filter(pk=row.pk).update(invitation=None, issued_at=None)
        DepositAddress.objects.filter(pk=higher.pk).update(invitation=first, issued_at=now)
    assert [payment.invitation_id for payment in look(one, now)] == [first.pk]
    assert look(one, now) == []
    second, third = joined(sale=sale, now=now), joined(sale=sale, now=now)
    assert DepositAddress.objects.filter(invitation=second, index=0).count() == 2
    assert {payment.invitation_id for payment in look(one, now)} == {second.pk, third.pk}
    assert look(one, now) == []


def test_the_chains_are_asked_once_who_was_paid(people, sale, now, monkeypatch) -> None:
    assert len(look(player(), now)) == 12
    again, asked = player(), []
    for name in Chain.values:
        node = nodes.simulated(name)
        monkeypatch.setattr(node, "paid", lambda given, honest=node.paid: asked.append(len(given)) or honest(given))
    assert look(again, now) == []
    joined(sale=sale, now=now)
    assert len(look(again, now)) == 1
    assert asked == [12, 12]


def test_without_asking_the_chains_everybody_would_pay_twice(people, now, monkeypatch) -> None:
    """The negative control."""
    assert len(look(player(), now)) == 12
    for name in Chain.values:
        monkeypatch.setattr(nodes.simulated(name), "paid", lambda given: set())
    assert len(look(player(), now)) == 12


def test_a_time_to_pay_that_is_moved_moves_the_late_ones(people, now) -> None:
    one = player("late=1")
    week = timedelta(days=7)
    assert look(one, now) == []
    Invitation.objects.update(pay_until=now + 2 * week)
    assert look(one, now + week + timedelta(seconds=1)) == []
    assert len(look(one, now + 2 * week + timedelta(seconds=1))) == 12


def test_who_could_not_pay_in_time_does_not(people, now) -> None:
    assert look(player(), now + timedelta(days=8)) == []


def test_a_chain_that_is_away_holds_back_its_own_and_is_tried_again(people, now, monkeypatch) -> None:
    def payers(seed: int) -> int:
        return sum(investors.plan_for(p.pk, seed=seed, mix={"exact": 1}).chain == "BTC" for p in people)

    # Who pays where follows from the keys of their rows, which differ from run to run.
    seed = next(seed for seed in range(1_000) if 3 <= payers(seed) < len(people))
    one, node, on_btc = player(seed=seed), nodes.simulated("BTC"), payers(seed)
    honest = node.send

    def away(address, amount) -> str:
        raise ChainUnavailable("gone")

    monkeypatch.setattr(node, "send", away)
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            list(one.pay_due(chain="BTC", now=now))
    assert len(list(one.pay_due(chain="ETH", now=now))) == 12 - on_btc
    monkeypatch.setattr(node, "send", honest)
    assert len(list(one.pay_due(chain="BTC", now=now))) == on_btc - 2
    assert len(list(one.pay_due(chain="BTC", now=now + investors.AGAIN_AFTER))) == 2


@pytest.mark.parametrize("honest_answers", [True, False])
def test_a_payment_that_was_taken_and_not_answered_is_not_made_again(people, now, monkeypatch, honest_answers) -> None:
    """The node takes it and answers too late. The control: a chain that denies it is paid twice."""
    one, sent = player(), []
    for name in Chain.values:
        node = nodes.simulated(name)

        def send(address, amount, honest=node.send) -> str:
            sent.append(address)
            honest(address, amount)
            if sent.count(address) == 1:
                raise ChainUnavailable("it had not answered after 10 s")
            return "0x1"

        monkeypatch.setattr(node, "send", send)
        if not honest_answers:
            monkeypatch.setattr(node, "paid", lambda given: set())
    failures, payments = 0, []
    while len(payments) < len(people):
        for name in Chain.values:
            try:
                payments += one.pay_due(chain=name, now=now)
            except ChainUnavailable:
                failures += 1
        now += investors.AGAIN_AFTER
    assert {payment.invitation_id for payment in payments} == {person.pk for person in people}
    assert failures == len(people)
    assert {payment.txid for payment in payments} == ({""} if honest_answers else {"0x1"})
    assert sorted(map(sent.count, set(sent))) == [1 if honest_answers else 2] * len(people)


def test_what_was_reserved_counts_and_not_what_the_sale_gives_now(sale, now) -> None:
    small = joined(sale=sale, now=now, allowance_cents=40_000)
    late = joined(sale=sale, now=now, allowance_cents=70_000)
    Sale.objects.update(personal_cap_cents=5)
    assert sum(p.amount for p in look(player("exact=1"), now) if p.invitation_id == small.pk) in (
        caps.amount_for(40_000, small.btc_rate, "BTC"),
        caps.amount_for(40_000, small.eth_rate, "ETH"),
    )
    Invitation.objects.update(allowance_cents=0)  # the time to pay is over
    again = investors._amount(investors.Plan("late", "ETH", 1.0), Invitation.objects.get(pk=late.pk), 1)[1]
    assert again == caps.amount_for(70_000, late.eth_rate, "ETH")


def test_where_the_chain_passes_no_dust_on_it_is_simply_too_little(people, now, monkeypatch) -> None:
    Sale.objects.update(minimum_deposit_cents=1)
    for name in Chain.values:
        monkeypatch.setattr(nodes.simulated(name), "least", 294)
    payments = look(player("dust=1"), now)
    assert {(p.plan.chain, p.plan.manner, p.amount >= 294) for p in payments} == {
        ("BTC", "under", True),
        ("ETH", "dust", True),
    }
    assert {p.amount for p in payments if p.plan.chain == "BTC"} == {294}


def test_nobody_is_played_with_money_that_is_worth_something(people, monkeypatch) -> None:
    def worth_something(addresses) -> set[str]:
        raise RealMoney("nobody is played on Ethereum's chain 1")

    monkeypatch.setattr(nodes.simulated("ETH"), "paid", worth_something)
    with pytest.raises(CommandError, match="chain 1"):
        play()


def test_the_purse_is_that_of_the_node_in_the_settings(settings) -> None:
    settings.NODES = {"BTC": urlsplit("http://127.0.0.1:1"), "ETH": None}
    assert type(purses.purse_for("BTC")).__name__ == "RegtestPurse"
    assert purses.purse_for("ETH") is nodes.simulated("ETH")

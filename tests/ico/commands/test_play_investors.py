"""Investors who are played: deterministic, each once, in every manner."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from ico import deposits, investors, nodes
from ico.models import Chain, Deposit, Invitation
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

"""Two followers of one chain, and deposits on two chains for one participant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F, Sum

from ico import books, cursors, deposits, sightings
from ico.chains.simulated import SimulatedChain
from ico.models import Deposit, Invitation, LedgerEntry
from tests.concurrency.conftest import enters_wallets
from tests.concurrency.rivals import broken, first, together, two_writers, without
from tests.ico.people import address_of

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = 10**15  # wei: 300 cents
FULL = {"BTC": 10**8 // 60 + 1, "ETH": 10**18 // 3 + 1}  # each fills the allowance


@pytest.fixture(autouse=True)
def _depth(settings: Any) -> None:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, SimulatedChain]:
    found = {chain: SimulatedChain(tmp_path / f"{chain}.sqlite3", chain=chain) for chain in ("BTC", "ETH")}
    monkeypatch.setattr(deposits, "client_for", found.__getitem__)
    return found


@pytest.fixture
def person(accepted: list[Invitation]) -> Invitation:
    enters_wallets(accepted[0])()
    return accepted[0]


Step = Callable[[], object]


@pytest.fixture
def follows(chains: dict[str, SimulatedChain], person: Invitation, now: datetime) -> Callable[[str], Step]:
    """A step along a chain, which has been followed up to its tip before."""
    for chain, client in chains.items():
        deposits.follow(chain=chain, client=client, now=now)
    return lambda chain: lambda: deposits.follow(chain=chain, client=chains[chain], now=now)


def pay(chains: dict[str, SimulatedChain], person: Invitation, **amounts: int) -> None:
    for chain, amount in amounts.items():
        chains[chain].send(address_of(person, chain), amount)
        chains[chain].mine()


def both_have(name: str, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Whoever comes first to this function waits for the other, and both go on."""
    honest, there = getattr(module, name), threading.Barrier(2)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        found = honest(*args, **kwargs)
        there.wait(30)
        return found

    monkeypatch.setattr(module, name, waiting)


def credited(person: Invitation) -> tuple[int, int]:
    """What the invitation and the ledger say."""
    person.refresh_from_db()
    return person.credited_cents, LedgerEntry.objects.aggregate(total=Sum("cents"))["total"]


def test_a_deposit_that_two_followers_saw_is_credited_once(
    chains: dict[str, SimulatedChain],
    person: Invitation,
    follows: Callable[[str], Step],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pay(chains, person, ETH=SMALL)
    both_have("look", monkeypatch, sightings)
    assert together(follows("ETH"), follows("ETH")) == []
    assert credited(person) == (300, 300)
    assert broken(now) == set()


def test_a_follower_that_was_overtaken_after_looking_changes_nothing(
    chains: dict[str, SimulatedChain],
    person: Invitation,
    follows: Callable[[str], Step],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pay(chains, person, ETH=SMALL)
    step = follows("ETH")
    monkeypatch.setattr(deposits, "_take_in", first(step, deposits._take_in))
    # The rival comes through the same door, and finds nobody before it.
    assert step().overtaken  # type: ignore[attr-defined]
    assert credited(person) == (300, 300)


@two_writers
def test_without_the_cursors_claim_a_deposit_is_credited_twice(
    chains: dict[str, SimulatedChain],
    person: Invitation,
    follows: Callable[[str], Step],
    settings: Any,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control."""
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 2}
    pay(chains, person, ETH=SMALL)
    follows("ETH")()
    assert Deposit.objects.get().state == Deposit.State.CONFIRMING
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    monkeypatch.setattr(cursors, "claim", lambda *args, **where: True)
    there, honest = threading.Barrier(2), books._locked

    def locked_when_both_have_read(due: Any) -> Any:
        there.wait(30)
        return honest(due)

    monkeypatch.setattr(books, "_locked", locked_when_both_have_read)
    assert together(follows("ETH"), follows("ETH")) == []
    assert credited(person) == (600, 600)
    assert "ledger-adds-up" in broken(now)


def test_full_payments_on_both_chains_at_once_fill_the_allowance_once(
    chains: dict[str, SimulatedChain],
    person: Invitation,
    follows: Callable[[str], Step],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pay(chains, person, **FULL)
    both_have("look", monkeypatch, sightings)
    assert together(follows("BTC"), follows("ETH")) == []
    assert credited(person) == (100_000, 100_000)
    assert sorted(Deposit.objects.values_list("credited_cents", "review")) == [(0, "excess"), (100_000, "")]
    assert broken(now) == set()


@two_writers
def test_without_lock_condition_and_constraint_the_allowance_is_filled_twice(
    chains: dict[str, SimulatedChain],
    person: Invitation,
    follows: Callable[[str], Step],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control."""

    def credit(invitation: Invitation, cents: int) -> None:
        Invitation.objects.filter(pk=invitation.pk).update(credited_cents=F("credited_cents") + cents)

    def read(keys: Any) -> list[Invitation]:
        return list(Invitation.objects.filter(pk__in=keys))

    with without(Invitation, "invitation_personal_cap_holds"):
        pay(chains, person, **FULL)
        monkeypatch.setattr(books, "_credit", credit)
        monkeypatch.setattr(books.locks, "invitations", read)
        both_have("_locked", monkeypatch, books)
        assert together(follows("BTC"), follows("ETH")) == []
        assert credited(person) == (200_000, 200_000)
        assert "personal-caps" in broken(now)

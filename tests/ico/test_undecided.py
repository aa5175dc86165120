"""What keeps a reservation when the time to pay is over, and for how long: also what a node has forgotten."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import pytest

from ico import caps, deposits, invitations, undecided
from ico.chains.base import ChainClient, Transfer
from ico.chains.simulated import FIRST_BASE_FEE, SimulatedChain
from ico.chains.simulated_node import SimulatedNode
from ico.models import Chain, Deposit, Invitation, Sale
from tests.ico.people import address_of, joined

FULL = 10**18 // 3 + 1  # fills an allowance of 100,000 cents at 300,000 cents per ether
MINUTE = timedelta(minutes=1)
Look = Callable[[datetime], None]


class Forgetful(SimulatedNode):
    """The node after a kill -9: its mempool is lost, and what waits in those of others is not sent to it again."""

    def appeared(self) -> Sequence[Transfer]:
        return []

    def more_appeared(self) -> bool:
        return False

    def waiting(self, txids: Collection[str]) -> set[str]:
        return set()


@pytest.fixture
def chains(tmp_path, settings) -> dict[str, SimulatedChain]:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 3}
    return {name: SimulatedChain(tmp_path / f"{name}.sqlite3", chain=name) for name in Chain.values}


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


def looking(chains: dict[str, SimulatedChain], *clients: ChainClient) -> Look:
    """Both chains are followed up to a block of that moment, which is full of what others pay more for."""

    def look(moment: datetime) -> None:
        for client in clients:
            chains[client.chain].mine(background=1.0, now=moment.timestamp() + 1)  # whole seconds
            while deposits.follow(chain=client.chain, client=client, now=moment).lag > 0:
                pass

    return look


@pytest.fixture
def look(chains, now) -> Look:
    look = looking(chains, *chains.values())
    look(now)
    return look


@pytest.fixture
def after_the_kill(chains, tmp_path) -> Look:
    """As `look`, by nodes that have lost their mempools."""
    return looking(chains, *(Forgetful(tmp_path / f"{name}.sqlite3", chain=name) for name in chains))


@pytest.fixture
def forgotten(chains, person, look, after_the_kill) -> datetime:
    """A payment seen ten minutes before the time was over, and forgotten by the node; when it was seen."""
    seen = person.pay_until - 10 * MINUTE
    chains["ETH"].send(address_of(person, "ETH"), FULL, fee=FIRST_BASE_FEE // 2)
    look(seen)
    assert Deposit.objects.get().state == "seen"
    after_the_kill(person.pay_until + MINUTE)
    assert (Deposit.objects.get().state, Deposit.objects.get().first_seen_at) == ("dropped", seen)
    return seen


def mined_late(chains, person, after_the_kill) -> tuple[str, int, int]:
    """Blocks are empty, so the network takes the payment in after all; what becomes of it."""
    later = person.pay_until + 10 * MINUTE
    chains["ETH"].mine(20, background=0, now=later.timestamp())
    after_the_kill(later)
    deposit = Deposit.objects.get()
    return deposit.review or deposit.state, deposit.credited_cents, deposit.owed_back


def test_a_payment_that_the_node_forgot_keeps_its_place_and_is_credited(
    chains, person, forgotten, after_the_kill
) -> None:
    assert invitations.expire(now=person.pay_until + MINUTE) == 0
    assert mined_late(chains, person, after_the_kill) == ("credited", 100_000, 0)


def test_without_the_grace_all_of_it_would_be_owed_back(chains, person, forgotten, after_the_kill, monkeypatch) -> None:
    """The negative control."""
    monkeypatch.setattr(undecided, "GRACE", timedelta(0))
    assert invitations.expire(now=person.pay_until + MINUTE) == 1
    assert mined_late(chains, person, after_the_kill) == ("late", 0, FULL)


def test_the_grace_ends_a_day_after_the_payment_was_seen(sale, person, forgotten, after_the_kill) -> None:
    over = forgotten + undecided.GRACE
    after_the_kill(over)
    assert invitations.expire(now=over - timedelta(seconds=1)) == 0
    assert invitations.expire(now=over) == 1
    assert Sale.objects.get(pk=sale.pk).reserved_cents == 0
    assert caps.reserve(sale.pk, 100_000)


def test_the_grace_counts_to_what_was_looked_at(person, forgotten, after_the_kill) -> None:
    """A follower that stood still for two days has not seen what was mined meanwhile."""
    late = person.pay_until + timedelta(days=2)
    assert invitations.expire(now=late) == 0
    after_the_kill(late)
    assert invitations.expire(now=late) == 1


@pytest.mark.parametrize(
    ("state", "review", "seen_late", "ended"),
    [
        ("seen", "", False, 0),
        ("confirming", "", False, 0),
        ("review", "reorg", False, 0),
        ("review", "dust", False, 1),
        ("dropped", "", False, 0),
        ("dropped", "reorg", False, 0),
        ("dropped", "", True, 1),  # it was late when it was seen: there is nothing to keep a place for
        ("dropped", "reorg", True, 1),
    ],
)
def test_what_keeps_a_reservation(person, look, state: str, review: str, seen_late: bool, ended: int) -> None:
    over = person.pay_until + 2 * MINUTE
    Deposit.objects.create(
        chain="ETH",
        txid="0x1",
        address=person.addresses.get(chain="ETH"),
        amount=FULL,
        state=state,
        review=review,
        first_seen_at=person.pay_until + (MINUTE if seen_late else -MINUTE),
    )
    look(over)
    Deposit.objects.update(state=state, review=review)  # the step found it nowhere
    assert invitations.expire(now=over) == ended


@pytest.mark.parametrize(("state", "ended"), [("dropped", 1), ("review", 0)])
def test_what_was_undone_keeps_it_for_good_unless_it_was_dropped(person, look, state: str, ended: int) -> None:
    over = person.pay_until + undecided.GRACE
    look(over)
    Deposit.objects.create(
        chain="ETH",
        txid="0x1",
        address=person.addresses.get(chain="ETH"),
        amount=FULL,
        state=state,
        review="reorg",
        first_seen_at=person.pay_until,
    )
    assert invitations.expire(now=over) == ended

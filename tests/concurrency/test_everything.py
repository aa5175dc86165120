"""All that the sale does, at once, on a connection each: nobody sees an error that is not an answer, and the books are
right afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from config import audit
from ico import addresses, caps, deposits, invitations, release, terms, waitlist
from ico.chains.simulated import SimulatedChain
from ico.models import Entrant, Invitation, LedgerEntry, Sale
from tests.concurrency.conftest import WALLETS
from tests.concurrency.rivals import together
from tests.ico.conftest import invite_all, join

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 30
ANSWERS = (invitations.InvitationEnded, invitations.StepOutOfOrder, invitations.AlreadyJoined)


@pytest.fixture
def chains(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, SimulatedChain]:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 1}
    found = {chain: SimulatedChain(tmp_path / f"{chain}.sqlite3", chain=chain) for chain in ("BTC", "ETH")}
    monkeypatch.setattr(deposits, "client_for", found.__getitem__)
    return found


def again_and_again(step: Callable[[random.Random, int], object], seed: int) -> Callable[[], None]:
    def live() -> None:
        dice = random.Random(seed)
        for n in range(ROUNDS):
            try:
                step(dice, n)
            except ANSWERS:
                continue  # somebody was first

    return live


def test_everything_at_once(sale: Sale, now: datetime, chains: dict[str, SimulatedChain], settings: Any) -> None:
    settings.ADDRESSES_AHEAD = 3  # so that joining finds some, and none
    tickets = [join(sale, f"early{n}@example.org").ticket for n in range(20)]
    invite_all(sale, now)
    Sale.objects.update(batch_size=4)

    def sign_up(dice: random.Random, n: int) -> None:
        tickets.append(join(sale, f"v{dice.randrange(60)}@example.org").ticket)

    def leave(dice: random.Random, n: int) -> None:
        with suppress(waitlist.NotTheHolder):  # a second signup's ticket
            waitlist.leave(dice.choice(tickets))

    def invite(dice: random.Random, n: int) -> None:
        waitlist.give_numbers(sale_id=sale.pk)
        release.release(sale_id=sale.pk, holder="one", now=timezone.now())

    def take_part(dice: random.Random, n: int) -> None:
        mine = Invitation.objects.select_related("sale").filter(state="open").order_by("?").first()
        if mine is not None:
            invitations.accept_terms(invitation=mine, client_address=None, now=timezone.now(), version=terms.current())
            mine.refresh_from_db()
            invitations.enter_wallets(invitation=mine, **WALLETS, now=timezone.now())

    def derive_ahead(dice: random.Random, n: int) -> None:
        addresses.derive_ahead(chain=dice.choice(["BTC", "ETH"]), most=dice.randrange(1, 4))

    def let_run_out(dice: random.Random, n: int) -> None:
        if n % 4 == 3:
            unused = (
                Invitation.objects.filter(state__in=("open", "accepted")).order_by("?").values_list("pk", flat=True)
            )
            Invitation.objects.filter(pk__in=list(unused[:1]), state="open").update(expires_at=timezone.now())
        invitations.expire(now=timezone.now())

    def pay_and_follow(chain: str) -> Callable[[random.Random, int], None]:
        def step(dice: random.Random, n: int) -> None:
            address = addresses.issued(chain).order_by("?").first()
            if address is not None:
                worth = dice.choice([500, 60_000, 150_000])  # cents: the last is more than an allowance
                rate = caps.rate_now(chain)
                chains[chain].send(address.address, caps.amount_for(worth, rate, chain))
            chains[chain].mine()
            if n % 7 == 6:
                chains[chain].reorg(2, mined_again=True)
            deposits.follow(chain=chain, client=chains[chain], now=timezone.now())

        return step

    steps = [sign_up, sign_up, leave, invite, invite, take_part, take_part, let_run_out, derive_ahead]
    steps += [pay_and_follow("BTC"), pay_and_follow("ETH")]
    assert together(*[again_and_again(step, seed) for seed, step in enumerate(steps)]) == []
    waitlist.give_numbers(sale_id=sale.pk)
    for chain, client in chains.items():
        while deposits.follow(chain=chain, client=client, now=timezone.now()).lag > 0:
            pass
    report = audit.run(audit.Evidence(now=timezone.now()))
    assert [breach for result in report.results for breach in result.breaches] == []
    assert set(Entrant.objects.values_list("state", flat=True)) >= {"left", "joined"}
    assert LedgerEntry.objects.count() > 0

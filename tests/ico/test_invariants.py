"""Every invariant holds on honest books and is broken by damage planted for it: a check that cannot fail is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from config import audit, delivery, outbox
from ico import addresses, deposits, invariants, invitations, waitlist
from ico.models import (
    ChainCursor,
    Deposit,
    DepositAddress,
    Entrant,
    Invitation,
    LedgerEntry,
    OutboxMessage,
    Release,
    Sale,
)
from ico.nodes import simulated
from tests.ico.conftest import invite_all, join
from tests.ico.test_invitations import accept, enter

pytestmark = pytest.mark.django_db

Damage = Callable[[], object]
OURS = {invariant.name for invariant in invariants.INVARIANTS}  # of the shop's: tests/shop/auditing


@pytest.fixture
def books(sale: Sale, now: datetime, settings: object, tmp_path: Path) -> Sale:
    """A sale in the middle of its life: waiting, left, invited, joined, paid and expired people."""
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    places = [join(sale, f"v{n}@example.org") for n in range(8)]
    waitlist.give_numbers(sale_id=sale.pk)
    waitlist.leave(places[5].ticket)
    invited = invite_all(sale, now, batch_size=3)
    outbox.relay(publish=lambda batch: delivery.deliver(batch, clock=lambda: now), now=now)
    for chain in ("BTC", "ETH"):
        deposits.follow(chain=chain, client=simulated(chain), now=now)
    for invitation in invited[:2]:
        accept(invitation, now)
        enter(invitation, now)
    addresses.derive(chain="BTC", count=1)
    pay(invited[0], now)
    Invitation.objects.filter(pk=invited[2].pk).update(expires_at=now)
    invitations.expire(now=now)
    sale.refresh_from_db()
    return sale


def pay(invitation: Invitation, now: datetime) -> None:
    """A hundredth of a bitcoin, mined and confirmed."""
    chain = simulated("BTC")
    chain.send(DepositAddress.objects.get(invitation=invitation, chain="BTC").address, 1_000_000)
    for _ in range(7):
        chain.mine()
    deposits.follow(chain="BTC", client=chain, now=now)
    assert Deposit.objects.get().state == "credited"


def broken(now: datetime, *acknowledged: dict[str, str]) -> set[str]:
    report = audit.run(audit.Evidence(now=now, acknowledged=acknowledged))
    return {result.name for result in report.results if not result.holds}


def test_honest_books_are_clean_and_every_invariant_looked_at_something(books: Sale, now: datetime) -> None:
    entry = {"email": "new@example.org", "ticket": join(books, "new@example.org").ticket}
    evidence = audit.Evidence(now=now, acknowledged=(entry,), deposit_addresses=tuple(told(books)))
    report = audit.run(evidence)
    assert report.clean, [result for result in report.results if not result.holds]
    assert [result.name for result in report.results if result.checked == 0 and result.name in OURS] == []


DAMAGES: dict[str, tuple[str, Damage]] = {
    "a gap in the numbers": ("numbers-dense", lambda: Entrant.objects.filter(number=8).update(number=9)),
    "a number too few": ("numbers-dense", lambda: Sale.objects.update(last_number=9)),
    "a number out of order": (
        "numbers-in-order",
        lambda: Entrant.objects.filter(number=7).update(signed_up_at=F("signed_up_at") - timedelta(hours=1)),
    ),
    "a second place": (
        "one-place-per-email",
        lambda: Entrant.objects.filter(number=8).update(email="v6@example.org"),
    ),
    "somebody passed over": (
        "first-come-first-served",
        lambda: Entrant.objects.filter(number=1).update(state="waiting"),
    ),
    "somebody pushed ahead": (
        "first-come-first-served",
        lambda: Entrant.objects.filter(number=8).update(state="invited"),
    ),
    "a release that lies": ("releases-add-up", lambda: Release.objects.filter(size__gt=0).update(size=2)),
    "a board ahead of its releases": ("releases-add-up", lambda: Sale.objects.update(served=4)),
    "an invitation without a mail": (
        "one-mail-each",
        lambda: OutboxMessage.objects.filter(kind="invitation").order_by("pk")[0].delete(),
    ),
    "a mail sent twice": ("one-mail-each", lambda: OutboxMessage.objects.update(message_id="<same@example.org>")),
    "joined without terms": ("journeys-complete", lambda: Invitation.objects.filter(state="joined").update(terms=None)),
    "joined before accepting": (
        "journeys-complete",
        lambda: Invitation.objects.filter(state="joined").update(joined_at=F("invited_at") - timedelta(hours=1)),
    ),
    "line and invitation disagree": (
        "states-agree",
        lambda: Entrant.objects.filter(state="joined").update(state="invited"),
    ),
    "a reservation nobody has": ("total-cap", lambda: Sale.objects.update(reserved_cents=F("reserved_cents") + 1)),
    "an allowance above the cap": (
        "personal-caps",
        lambda: Invitation.objects.filter(state="joined").update(allowance_cents=F("allowance_cents") + 1),
    ),
    "a credit from nowhere": (
        "ledger-adds-up",
        lambda: Invitation.objects.filter(state="joined").update(credited_cents=F("credited_cents") + 1),
    ),
    "a ledger entry too many": (
        "ledger-adds-up",
        lambda: LedgerEntry.objects.create(
            deposit=Deposit.objects.get(),
            invitation=Deposit.objects.get().address.invitation,
            cents=5,
            booked_at=Deposit.objects.get().first_seen_at,
        ),
    ),
    "an address of somebody else's key": (
        "addresses-unique",
        lambda: DepositAddress.objects.filter(chain="ETH", index=0).update(address="0x" + "1" * 40),
    ),
    "an index that will be given again": ("addresses-unique", lambda: ChainCursor.objects.update(next_index=1)),
    "an address in the pool that the key does not give": (
        "addresses-unique",
        lambda: DepositAddress.objects.filter(chain="BTC", invitation=None).update(address="bc1qnobody"),
    ),
    "an index that was left out": (
        "addresses-unique",
        lambda: DepositAddress.objects.filter(chain="BTC", invitation=None).delete(),
    ),
    "an excess that vanished": ("deposits-explained", lambda: Deposit.objects.update(owed_back=999_999)),
    "a deposit that is not on the chain": ("deposits-on-chain-once", lambda: Deposit.objects.update(txid="f" * 64)),
    "a deposit credited too early": (
        "deposits-on-chain-once",
        lambda: Deposit.objects.update(settled_final=F("block_height") - 1),
    ),
    "a deposit that was final above the tip": (
        "deposits-on-chain-once",
        lambda: Deposit.objects.update(settled_final=F("settled_tip") + 1),
    ),
    "a deposit credited too early by the release before": (
        "deposits-on-chain-once",
        lambda: Deposit.objects.update(settled_final=None, settled_tip=F("block_height") + 1),
    ),
    "a deposit in another block": (
        "deposits-on-chain-once",
        lambda: Deposit.objects.update(block_height=F("block_height") - 1),
    ),
    "a deposit of another amount": ("deposits-on-chain-once", lambda: Deposit.objects.update(amount=2_000_000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found(books: Sale, now: datetime, damage: str) -> None:
    invariant, plant = DAMAGES[damage]
    assert broken(now) == set()
    plant()
    assert invariant in broken(now)


def test_every_invariant_has_a_damage_planted_for_it() -> None:
    planted = {invariant for invariant, _ in DAMAGES.values()} | {"acknowledged-present", "told-where-to-pay"}
    assert planted == OURS


def test_a_lost_signup_is_found(books: Sale, now: datetime) -> None:
    place = join(books, "new@example.org")
    entry = {"email": "New@Example.org", "ticket": place.ticket}
    assert broken(now, entry) == set()
    assert broken(now, {**entry, "email": "other@example.org"}) == {"acknowledged-present"}
    assert broken(now, {**entry, "email": "other@example.org"}, entry) == {"acknowledged-present"}
    assert broken(now, {**entry, "ticket": "h1.1.forged"}) == {"acknowledged-present"}
    Entrant.objects.filter(pk=place.entrant_id).delete()
    assert "acknowledged-present" in broken(now, entry)


def told(books: Sale) -> list[dict[str, Any]]:
    """What the visitors who joined were told on their payment pages."""
    joined = Invitation.objects.filter(joined_at__isnull=False).order_by("pk")
    return [
        {
            "kind": "deposit_addresses",
            "mark": invitation.token_digest,
            "addresses": dict(invitation.addresses.values_list("chain", "address")),
        }
        for invitation in joined
    ]


def wrongly_told(now: datetime, *entries: dict[str, Any]) -> int:
    found = invariants.told_where_to_pay(audit.Evidence(now=now, deposit_addresses=entries))
    assert found.checked == len(entries)
    return len(found.breaches)


def test_an_address_told_to_the_wrong_person_is_found(books: Sale, now: datetime) -> None:
    one, other = told(books)
    assert wrongly_told(now, one, other) == 0
    assert wrongly_told(now, one, {**other, "addresses": one["addresses"]}) == 2
    assert wrongly_told(now, {**one, "mark": "0" * 64}) == 2
    assert wrongly_told(now, {**one, "addresses": {"BTC": "bc1qnobody"}}) == 1


def test_what_visitors_were_told_is_read_from_files(books: Sale, tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    order = {"kind": "order", "number": "AAAA-AAAA-AAAA", "email": "a@example.org", "total_cents": 1}
    file.write_text("".join(json.dumps(entry) + "\n" for entry in [*told(books), order]))
    read = audit.told([file])
    assert {kind: len(entries) for kind, entries in read.items()} == {"deposit_addresses": 2, "orders": 1}
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("audit", "--evidence", str(file), stdout=out)
    assert "BREACH shop-confirmed-orders" in out.getvalue()
    assert "ok     told-where-to-pay" in out.getvalue()
    for wrong in ('{"kind": "rumour"}', '{"kind": "order", "number": 7}', "[]", "{"):
        file.write_text(json.dumps(order) + "\n" + wrong)
        with pytest.raises(CommandError, match=r"line 2: expected .*deposit_addresses.* or .*order"):
            call_command("audit", "--evidence", str(file))


def test_the_database_itself_refuses_to_break_the_caps(books: Sale) -> None:
    from django.db import IntegrityError, transaction

    for breach in (
        lambda: Sale.objects.update(reserved_cents=books.total_cap_cents + 1),
        lambda: Sale.objects.update(served=books.last_number + 1),
        lambda: Invitation.objects.update(credited_cents=F("allowance_cents") + 1),
        lambda: Entrant.objects.filter(number__in=(1, 2)).update(number=1),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            breach()


def test_a_reorg_that_is_not_followed_yet_is_no_breach(books: Sale, now: datetime) -> None:
    """Deeper than any credit, so that the credited deposit is on the node's chain no more."""
    chain = simulated("BTC")
    chain.reorg(7)
    assert broken(now) == set()
    deposits.follow(chain="BTC", client=chain, now=now)
    assert Deposit.objects.get().review in ("reorg", "")
    assert broken(now) == set()


class TestTheCommand:
    def test_clean_books_exit_0_and_print_json(self, books: Sale) -> None:
        out = StringIO()
        call_command("audit", "--json", stdout=out)
        report = json.loads(out.getvalue())
        assert report["clean"] is True
        assert {"name", "description", "holds", "checked", "breaches"} == set(report["invariants"][0])

    def test_a_breach_exits_1_and_is_told(self, books: Sale) -> None:
        Sale.objects.update(reserved_cents=1)
        out = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("audit", stdout=out)
        assert end.value.code == 1
        assert "BREACH total-cap" in out.getvalue()
        assert "THE BOOKS ARE WRONG." in out.getvalue()

    def test_unreadable_evidence_is_named(self, books: Sale, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"gone\.jsonl"):
            call_command("audit", acknowledged=[tmp_path / "gone.jsonl"])
        (tmp_path / "bad.jsonl").write_text('{"email": "a@example.org", "ticket": "t"}\n{"email": 3}\n')
        with pytest.raises(CommandError, match="line 2"):
            call_command("audit", acknowledged=[tmp_path / "bad.jsonl"])

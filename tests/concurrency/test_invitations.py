"""An invitation that runs out while its owner is using it: one of the two happens, whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from ico import invitations, waitlist
from ico.models import DepositAddress, Entrant, Invitation, Sale
from ico.tickets import Kind, Ticket
from tests.concurrency.conftest import enters_wallets
from tests.concurrency.rivals import broken, first, together

pytestmark = pytest.mark.django_db(transaction=True)


def expires(invitation: Invitation) -> Callable[[], None]:
    return lambda: [None, invitations.expire(now=invitation.expires_at)][0]


def states() -> list[tuple[str, str, int]]:
    rows = Invitation.objects.order_by("pk").values_list("entrant__state", "state", "allowance_cents")
    return [(entrant, invitation, cents) for entrant, invitation, cents in rows]


def test_expiry_and_acceptance_at_once_leave_either_whole(accepted: list[Invitation], now: datetime) -> None:
    owners = [enters_wallets(invitation) for invitation in accepted]
    raised = together(*owners, expires(accepted[0]), expires(accepted[0]))
    assert {type(error) for error in raised} <= {invitations.InvitationEnded}
    assert set(states()) <= {("joined", "joined", 100_000), ("expired", "expired", 0)}
    given = DepositAddress.objects.filter(invitation__isnull=False)
    assert given.count() == 2 * Invitation.objects.filter(state="joined").count()
    assert len(raised) == Invitation.objects.filter(state="expired").count()
    assert broken(now) == set()


def overtaken_by_the_owner(invitation: Invitation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expirer has found the invitation unused; before its transaction begins the owner enters the wallets."""
    rival = first(enters_wallets(invitation), invitations._expire_unused)
    monkeypatch.setattr(invitations, "_expire_unused", rival)


@pytest.fixture
def lone(accepted: list[Invitation]) -> Invitation:
    Invitation.objects.exclude(pk=accepted[0].pk).update(expires_at=accepted[0].expires_at + timedelta(days=1))
    return accepted[0]


def test_who_was_in_time_is_not_expired_by_one_who_looked_before(
    lone: Invitation, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken_by_the_owner(lone, monkeypatch)
    expires(lone)()
    assert states()[0] == ("joined", "joined", 100_000)
    assert broken(now) == set()


def test_without_the_condition_a_participant_is_expired(lone: Invitation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: end what was found, without asking again whether it is still unused."""
    honest = invitations._end
    monkeypatch.setattr(invitations, "_end", lambda ends, condition, state: honest(ends, invitations.Q(), state))
    overtaken_by_the_owner(lone, monkeypatch)
    expires(lone)()
    lone.refresh_from_db()
    assert (lone.state, lone.allowance_cents) == ("expired", 0)
    assert lone.pay_until is not None
    assert lone.pay_until > lone.expires_at  # this person was shown two addresses, and has a week to pay
    assert DepositAddress.objects.filter(invitation=lone).count() == 2


def test_leaving_and_expiring_at_once_give_the_allowance_back_once(
    accepted: list[Invitation], sale: Sale, now: datetime
) -> None:
    tickets = [str(Ticket(Kind.HOLDER, sale.pk, invitation.entrant_id)) for invitation in accepted]
    leavers = [lambda ticket=ticket: waitlist.leave(ticket) for ticket in tickets]
    assert together(*leavers, expires(accepted[0]), expires(accepted[0])) == []
    assert set(Entrant.objects.values_list("state", flat=True)) <= {"left", "expired"}
    sale.refresh_from_db()
    assert sale.reserved_cents == 0
    assert broken(now) == set()

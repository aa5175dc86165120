from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import F

from ico import invitations, wallets
from ico.models import ChainCursor, DepositAddress, Entrant, Invitation, Sale
from tests.ico.conftest import invite_all, join

pytestmark = pytest.mark.django_db

BTC = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"  # BIP173
ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55


@pytest.fixture
def invitation(sale: Sale, now: datetime) -> Invitation:
    join(sale, "ada@example.org")
    return invite_all(sale, now)[0]


def again(invitation: Invitation, now: datetime) -> Invitation:
    return invitations.find(invitations.token_of(invitation.nonce), now=now)


def accept(invitation: Invitation, now: datetime) -> None:
    invitations.accept_terms(invitation=again(invitation, now), client_address="192.0.2.9", now=now)


def enter(invitation: Invitation, now: datetime, btc: str = BTC, eth: str = ETH) -> None:
    invitations.enter_wallets(invitation=again(invitation, now), btc_address=btc, eth_address=eth, now=now)


def test_the_journey_is_recorded_step_by_step(invitation: Invitation, sale: Sale, now: datetime) -> None:
    assert invitations.due_step(again(invitation, now)) == "terms"
    accept(invitation, now)
    assert invitations.due_step(again(invitation, now)) == "wallet"
    enter(invitation, now)
    after = again(invitation, now)
    assert invitations.due_step(after) == "payment"
    assert after.terms is not None
    assert (after.terms.version, after.accepted_at, after.accepted_from) == ("1", now, "192.0.2.9")
    assert (after.btc_wallet, after.eth_wallet, after.joined_at) == (BTC, ETH, now)
    assert after.pay_until == now + timedelta(seconds=sale.payment_lifetime_seconds)
    assert after.entrant.state == "joined"
    assert set(DepositAddress.objects.filter(invitation=after).values_list("chain", flat=True)) == {"BTC", "ETH"}


def test_steps_are_taken_in_order_and_once(invitation: Invitation, now: datetime) -> None:
    with pytest.raises(invitations.StepOutOfOrder) as error:
        enter(invitation, now)
    assert error.value.due == "terms"
    accept(invitation, now)
    with pytest.raises(invitations.StepOutOfOrder) as error:
        accept(invitation, now + timedelta(seconds=1))
    assert error.value.due == "wallet"
    enter(invitation, now)
    with pytest.raises(invitations.StepOutOfOrder) as error:
        enter(invitation, now, btc="1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
    assert error.value.due == "payment"
    after = again(invitation, now)
    assert (after.accepted_at, after.btc_wallet) == (now, BTC)
    assert DepositAddress.objects.count() == 2


def test_a_bad_wallet_leaves_nothing_half_written(invitation: Invitation, now: datetime) -> None:
    accept(invitation, now)
    with pytest.raises(wallets.InvalidWallets) as error:
        enter(invitation, now, eth=ETH.swapcase().replace("0X", "0x"))
    assert set(error.value.errors) == {"eth_address"}
    after = again(invitation, now)
    assert (after.state, after.btc_wallet, after.joined_at) == ("accepted", "", None)
    assert not DepositAddress.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "../../etc/passwd", "é"])
def test_a_token_that_was_never_given_is_unknown(sale: Sale, now: datetime, token: str) -> None:
    with pytest.raises(invitations.UnknownInvitation):
        invitations.find(token, now=now)


def test_an_invitation_ends_with_its_time_and_not_before(invitation: Invitation, sale: Sale, now: datetime) -> None:
    last = invitation.expires_at - timedelta(seconds=1)
    assert invitations.expire(now=last) == 0
    accept(invitation, last)
    with pytest.raises(invitations.InvitationEnded):
        again(invitation, invitation.expires_at)  # even before anybody swept it
    assert invitations.expire(now=invitation.expires_at) == 1
    assert invitations.expire(now=invitation.expires_at) == 0
    sale.refresh_from_db()
    assert sale.reserved_cents == 0
    entrant = Entrant.objects.get()
    assert (entrant.state, entrant.email_digest) == ("expired", None)


def test_who_joins_in_the_last_moment_is_not_swept(
    invitation: Invitation, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival stands exactly between finding what is over and ending it."""
    accept(invitation, now)
    honest = invitations._expire_unused

    def join_first(found: Invitation, moment: datetime) -> bool:
        enter(invitation, now)
        return honest(found, moment)

    monkeypatch.setattr(invitations, "_expire_unused", join_first)
    assert invitations.expire(now=invitation.expires_at) == 0
    sale.refresh_from_db()
    assert Invitation.objects.get().state == "joined"
    assert sale.reserved_cents == sale.personal_cap_cents


def followed(now: datetime) -> None:
    """As if both chains had just been followed to their tips."""
    known = {"height": 9, "tip_height": 9, "followed_at": now, "tip_at": now}
    for chain in ("BTC", "ETH"):
        ChainCursor.objects.update_or_create(chain=chain, defaults=known)


def test_who_did_not_pay_gives_the_allowance_back(invitation: Invitation, sale: Sale, now: datetime) -> None:
    accept(invitation, now)
    enter(invitation, now)
    over = now + timedelta(seconds=sale.payment_lifetime_seconds)
    followed(over)
    assert invitations.expire(now=over - timedelta(seconds=1)) == 0
    assert invitations.expire(now=over) == 1
    sale.refresh_from_db()
    after = again(invitation, over)  # the page stays: money may still arrive
    assert (after.state, after.allowance_cents, sale.reserved_cents) == ("expired", 0, 0)


def test_nobodys_time_to_pay_is_over_while_a_chain_is_not_followed(
    invitation: Invitation, sale: Sale, now: datetime
) -> None:
    accept(invitation, now)
    enter(invitation, now)
    over = now + timedelta(seconds=sale.payment_lifetime_seconds)
    assert invitations.expire(now=over) == 0
    followed(over)
    ChainCursor.objects.filter(chain="BTC").update(tip_height=F("height") + 1)
    assert invitations.expire(now=over) == 0
    followed(over - timedelta(seconds=1))
    assert invitations.expire(now=over) == 0
    followed(over)
    ChainCursor.objects.filter(chain="BTC").update(tip_at=over - timedelta(seconds=1))  # a node that stands still
    assert invitations.expire(now=over) == 0
    followed(over)
    assert invitations.expire(now=over) == 1


def test_who_paid_a_part_keeps_that_part(invitation: Invitation, sale: Sale, now: datetime) -> None:
    accept(invitation, now)
    enter(invitation, now)
    Invitation.objects.update(credited_cents=30_000)
    over = now + timedelta(seconds=sale.payment_lifetime_seconds)
    followed(over)
    assert invitations.expire(now=over) == 1
    sale.refresh_from_db()
    after = again(invitation, over)
    assert (after.state, after.allowance_cents, sale.reserved_cents) == ("joined", 30_000, 30_000)
    assert invitations.expire(now=over) == 0

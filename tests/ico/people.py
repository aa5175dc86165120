"""Participants for tests of money: invitations that have been joined, with their deposit addresses."""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from ico import addresses, caps
from ico.models import Chain, Entrant, Invitation, Release, Sale


def invited(*, sale: Sale, now: datetime, allowance_cents: int = 100_000) -> Invitation:
    assert caps.reserve(sale.pk, allowance_cents)
    entrant = Entrant.objects.create(sale=sale, email=f"{secrets.token_hex(8)}@example.com", state="joined")
    release = Release.objects.create(
        sale=sale,
        decided_at=now,
        last_decided_at=now,
        reason="released",
        size=1,
        served_before=0,
        served_after=1,
        inputs={"allowance_cents": allowance_cents},
    )
    return Invitation.objects.create(
        sale=sale,
        entrant=entrant,
        release=release,
        nonce=secrets.token_hex(16),
        token_digest=secrets.token_hex(32),
        state=Invitation.State.JOINED,
        allowance_cents=allowance_cents,
        btc_rate=caps.rate_now("BTC"),
        eth_rate=caps.rate_now("ETH"),
        invited_at=now,
        expires_at=now + timedelta(days=1),
        joined_at=now,
        pay_until=now + timedelta(days=7),
    )


def joined(*, sale: Sale, now: datetime, allowance_cents: int = 100_000) -> Invitation:
    invitation = invited(sale=sale, now=now, allowance_cents=allowance_cents)
    for chain in Chain.values:
        if not addresses.waiting(chain).exists():
            addresses.derive(chain=chain, count=1)
    with transaction.atomic():
        for chain in Chain.values:
            addresses.issue(chain=chain, invitation=invitation, now=now)
    return invitation


def address_of(invitation: Invitation, chain: str) -> str:
    return invitation.addresses.get(chain=chain).address

"""What is owed back: whatever arrived and is credited to nobody, deposit by deposit, newest first.

A wallet is where its owner wants the sale's tokens sent, and so the one place known to be theirs; the address that a
payment came from may be an exchange's and is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from config.cache import remembered
from ico import balance_sheet
from ico.amounts import in_coins
from ico.models import Chain, Deposit

TOTALS_MAX_AGE = 10
CHUNK = 1_000
Review = Deposit.Review
REASONS = (Review.EXCESS, Review.DUST, Review.LATE)  # what a reorg undid is on no chain: nothing of it is owed


@dataclass(frozen=True, slots=True)
class Owed:
    """One deposit of which something is owed back. Amounts in satoshi or wei."""

    deposit_id: int
    chain: str
    txid: str
    position: int
    address: str
    amount: int
    owed: int
    reason: str
    invitation_id: int
    number: int | None
    email: str
    wallet: str
    seen_at: datetime
    settled_at: datetime | None

    @property
    def owed_coins(self) -> str:
        return in_coins(self.owed, self.chain)

    @property
    def coins(self) -> str:
        return in_coins(self.amount, self.chain)

    @property
    def why(self) -> str:
        return str(Review(self.reason).label)


def listed(*, chain: str = "", reason: str = "", before: int | None = None, most: int = CHUNK) -> list[Owed]:
    """A page of them, those older than deposit `before`. Chain and reason "" stand for all."""
    rows = _rows(chain, reason)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    joined = rows.select_related("address__invitation__entrant").order_by("-pk")
    return [_owed(deposit) for deposit in joined[:most]]


def every(*, chain: str = "", reason: str = "") -> Iterator[Owed]:
    """All of them, a bounded number in memory."""
    before: int | None = None
    while page := listed(chain=chain, reason=reason, before=before):
        yield from page
        before = page[-1].deposit_id


def totals() -> Mapping[str, Mapping[str, int]]:
    """Satoshi or wei by chain and reason, up to ten seconds old. Kept as text: JSON's readers round large numbers."""

    def added_up() -> dict[str, dict[str, str]]:
        sums = {chain: balance_sheet.owed_back(chain) for chain in Chain.values}
        return {chain: {reason: str(amount) for reason, amount in by.items()} for chain, by in sums.items()}

    known = remembered("owed:totals", seconds=TOTALS_MAX_AGE, make=added_up)
    return {chain: {reason: int(amount) for reason, amount in by.items()} for chain, by in known.items()}


def _rows(chain: str, reason: str) -> QuerySet[Deposit]:
    chains = [chain] if chain else Chain.values
    rows = Deposit.objects.filter(chain__in=chains, state=Deposit.State.REVIEW, owed_back__gt=0)
    return rows.filter(review=reason) if reason else rows


def _owed(deposit: Deposit) -> Owed:
    invitation = deposit.address.owner
    return Owed(
        deposit_id=deposit.pk,
        chain=deposit.chain,
        txid=deposit.txid,
        position=deposit.position,
        address=deposit.address.address,
        amount=deposit.amount,
        owed=deposit.owed_back,
        reason=deposit.review,
        invitation_id=invitation.pk,
        number=invitation.entrant.number,
        email=invitation.entrant.email,
        wallet=invitation.btc_wallet if deposit.chain == Chain.BTC else invitation.eth_wallet,
        seen_at=deposit.first_seen_at,
        settled_at=deposit.settled_at,
    )

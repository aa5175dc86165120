"""Booking: what a deposit that is deep enough is worth to its participant, and undoing it when the chain undoes it.

The invariant, for every settled deposit: either nothing is owed back and the whole worth is credited, or
`owed_back == amount - amount_for(credited_cents)`. Less than a cent's worth is never owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, prefetch_related_objects

from ico import caps, locks
from ico.amounts import in_coins
from ico.models import Chain, Deposit, Invitation, LedgerEntry, Rate

MOST_AT_ONCE = 20  # a step holds the write lock, and signups wait for it; what is left is booked in the next one
JUDGED = ["credited_cents", "owed_back", "state", "review"]

State, Review = Deposit.State, Deposit.Review


class CapMoved(RuntimeError):
    """The allowance changed under the booking, which is undone; the next step books anew."""


class BooksBroken(RuntimeError):
    """Less is credited to an invitation than its deposits say. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Booking:
    cents: int
    owed_back: int
    review: str


def judge(*, amount: int, chain: str, rate: Rate, room_cents: int, minimum_cents: int, in_time: bool) -> Booking:
    """What is credited of an amount, and what is owed back, and why. Pure. Who pays what the page shows as filling the
    allowance is credited and owed nothing, also where the smallest unit of the coin is worth several cents, and where
    less than the minimum is left to fill."""
    worth = caps.worth_cents(amount, rate, chain)
    fills = in_time and 0 < room_cents <= worth
    if worth < max(minimum_cents, 1) and not fills:
        return Booking(cents=0, owed_back=amount, review=Review.DUST)
    if not in_time:
        return Booking(cents=0, owed_back=amount, review=Review.LATE)
    if worth <= room_cents:
        return Booking(cents=worth, owed_back=0, review="")
    owed_back = amount - caps.amount_for(room_cents, rate, chain)
    return Booking(cents=room_cents, owed_back=owed_back, review=Review.EXCESS if owed_back else "")


def settle(*, chain: str, tip: int, final: int, now: datetime) -> int:
    """Book what is not settled and stands in a block up to `final`, the chain being followed up to `tip`; how many.
    Inside the caller's transaction."""
    unsettled = Q(state=State.CONFIRMING) | Q(state=State.REVIEW, review=Review.REORG)
    due = (
        Deposit.objects.filter(unsettled, chain=chain, block_height__lte=final)
        .select_related("address")
        .order_by("block_height", "pk")[:MOST_AT_ONCE]
    )
    deposits = list(due)
    invitations = _locked(deposits)
    entries = [entry for deposit in deposits for entry in _book(deposit, invitations[deposit.address.owner_id], now)]
    LedgerEntry.objects.bulk_create(entries)
    Deposit.objects.bulk_update(deposits, JUDGED)
    # The same of all, and so told once: each value of `bulk_update` makes its statement longer and takes its time.
    settled = Deposit.objects.filter(pk__in=[deposit.pk for deposit in deposits])
    settled.update(settled_at=now, settled_tip=tip, settled_final=final)
    return len(deposits)


def compensate(deposits: Sequence[Deposit], *, now: datetime) -> list[str]:
    """Take back credits and debts whose block the chain gave up, credits by entries against them: nothing is deleted.
    An operator must look, for somebody may already have acted on the credit or paid back what was owed: that is what
    the answer says, to be told when all is committed. If the chain takes the payment in again, it is booked again.
    Inside the caller's transaction."""
    undone = []
    for deposit in sorted(deposits, key=lambda deposit: (deposit.address.owner_id, deposit.pk)):
        cents = deposit.credited_cents
        credited = Invitation.objects.filter(pk=deposit.address.owner_id, credited_cents__gte=cents)
        if credited.update(credited_cents=F("credited_cents") - cents) != 1:
            raise BooksBroken(f"deposit {deposit.pk}")
        if cents:
            _entry(deposit, -cents, now).save(force_insert=True)
        undone.append(_undone(deposit))
        deposit.credited_cents, deposit.owed_back = 0, 0
        deposit.state, deposit.review = State.REVIEW, Review.REORG
        deposit.block_height, deposit.block_hash = None, ""
        deposit.settled_at, deposit.settled_tip, deposit.settled_final = None, None, None
        deposit.save()
    return undone


def _undone(deposit: Deposit) -> str:
    owed = f", {in_coins(deposit.owed_back, deposit.chain)} {deposit.chain} not owed back any more"
    return (
        f"A reorg of {deposit.chain} undid a settled deposit: {deposit.txid}:{deposit.position},"
        f" {deposit.credited_cents} cents compensated for invitation {deposit.address.owner_id}"
        f"{owed if deposit.owed_back else ''}"
    )


def in_time(deposit: Deposit, invitation: Invitation) -> bool:
    """The moment counts when the payment was first seen, not when the chain had confirmed it."""
    ends = min(invitation.pay_until or invitation.sale.closes_at, invitation.sale.closes_at)
    return invitation.state == Invitation.State.JOINED and deposit.first_seen_at <= ends


def _locked(deposits: Sequence[Deposit]) -> dict[int, Invitation]:
    """The deposits' invitations, locked, with their sale and rates read beside them."""
    rows = locks.invitations({deposit.address.owner_id for deposit in deposits})
    prefetch_related_objects(rows, "sale", "btc_rate", "eth_rate")
    return {row.pk: row for row in rows}


def _book(deposit: Deposit, invitation: Invitation, now: datetime) -> list[LedgerEntry]:
    """Credit what is due; the deposit is changed in memory, the entry is made and not saved."""
    booking = judge(
        amount=deposit.amount,
        chain=deposit.chain,
        rate=invitation.btc_rate if deposit.chain == Chain.BTC else invitation.eth_rate,
        room_cents=invitation.allowance_cents - invitation.credited_cents,
        minimum_cents=invitation.sale.minimum_deposit_cents,
        in_time=in_time(deposit, invitation),
    )
    if booking.cents:
        _credit(invitation, booking.cents)
    deposit.credited_cents, deposit.owed_back = booking.cents, booking.owed_back
    deposit.state, deposit.review = State.REVIEW if booking.review else State.CREDITED, booking.review
    return [_entry(deposit, booking.cents, now)] if booking.cents else []


def _credit(invitation: Invitation, cents: int) -> None:
    room = Invitation.objects.filter(pk=invitation.pk, state=Invitation.State.JOINED)
    room = room.alias(after=F("credited_cents") + cents).filter(after__lte=F("allowance_cents"))
    if room.update(credited_cents=F("credited_cents") + cents) != 1:
        raise CapMoved(f"invitation {invitation.pk}")
    invitation.credited_cents += cents  # the next deposit of this step finds less room


def _entry(deposit: Deposit, cents: int, now: datetime) -> LedgerEntry:
    return LedgerEntry(deposit=deposit, invitation_id=deposit.address.owner_id, cents=cents, booked_at=now)

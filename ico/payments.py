"""How far a participant's payment is, in the shape that the payment API promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from ico import caps
from ico.amounts import in_coins
from ico.models import Chain, ChainCursor, Deposit, DepositAddress, Invitation

State, Review = Deposit.State, Deposit.Review
IN_SIGHT = timedelta(minutes=1)  # steps follow each other in a second or so, and one of many blocks takes longer


@dataclass(frozen=True, slots=True)
class Arrived:
    """A transfer to one address. `confirmations` is 0 while it is in no block."""

    amount: int
    state: str
    review: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class AddressStatus:
    """`seen` is all that is on its way or there, `confirmed` what is final, whether it was credited or not. `final` is
    what makes it so: `depth`, the `required` confirmations, or `finalized`, the word of the chain itself."""

    chain: str
    address: str
    seen: int
    confirmed: int
    confirmations: int  # of the shallowest transfer that is not final, else of the newest one
    required: int
    final: str


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """Cents and smallest units; `as_json` writes them as decimal strings. `reasons`: why deposits are in review. It is
    what both chains were known to hold at `as_of`; `unseen` are those that cannot be looked at just now."""

    state: str
    reasons: Sequence[str]
    currency: str
    cap_cents: int
    credited_cents: int
    fills: dict[str, int]  # per chain, the amount that would fill what remains of the allowance
    deposits: Sequence[AddressStatus]
    unseen: Sequence[str]
    as_of: datetime
    now: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "review": list(self.reasons),
            "allowance": {
                "currency": self.currency,
                "cap": _money(self.cap_cents),
                "credited": _money(self.credited_cents),
                "remaining": _money(self.cap_cents - self.credited_cents),
                **{chain: in_coins(amount, chain) for chain, amount in self.fills.items()},
            },
            "deposits": [
                {
                    "chain": at.chain,
                    "address": at.address,
                    "seen": in_coins(at.seen, at.chain),
                    "confirmed": in_coins(at.confirmed, at.chain),
                    "confirmations": at.confirmations,
                    "required": at.required,
                    "final": at.final,
                }
                for at in self.deposits
            ],
            "poll_after_seconds": settings.POLL_SECONDS,
            "unseen": list(self.unseen),
            "as_of": self.as_of.isoformat(),
            "now": self.now.isoformat(),
        }


def status(invitation: Invitation, *, now: datetime) -> PaymentStatus:
    """Two queries, if the invitation came with its sale and rates (as `invitations.find` gives it)."""
    cursors = {cursor.chain: cursor for cursor in ChainCursor.objects.all()}
    rows = DepositAddress.objects.filter(invitation=invitation).values_list(
        "chain", "address", "deposits__amount", "deposits__state", "deposits__review", "deposits__block_height"
    )
    places: dict[str, tuple[str, list[Arrived]]] = {}
    for chain, address, amount, state, review, height in rows.order_by("chain", "deposits__first_seen_at", "deposits"):
        _, arrived = places.setdefault(chain, (address, []))
        if amount is not None and state != State.DROPPED:
            depth = 0 if height is None or chain not in cursors else max(0, cursors[chain].height - height + 1)
            arrived.append(Arrived(amount, state, review, depth))
    all_arrived = [one for _, arrived in places.values() for one in arrived]
    remaining = invitation.allowance_cents - invitation.credited_cents
    rates = {Chain.BTC.value: invitation.btc_rate, Chain.ETH.value: invitation.eth_rate}
    return PaymentStatus(
        state=overall(all_arrived),
        reasons=reasons(all_arrived),
        currency=invitation.sale.currency,
        cap_cents=invitation.allowance_cents,
        credited_cents=invitation.credited_cents,
        fills={chain: caps.amount_for(remaining, rate, chain) for chain, rate in rates.items()},
        deposits=[_at(chain, address, arrived) for chain, (address, arrived) in sorted(places.items())],
        unseen=[chain for chain in Chain.values if not _in_sight(cursors.get(chain), now)],
        as_of=_followed_up_to(cursors, nothing_before=invitation.joined_at or now),
        now=now,
    )


def overall(arrived: Sequence[Arrived]) -> str:
    """One word for the participant. What a person must look at comes first, even when other deposits are fine; then
    what is still on its way; `paid` says that something is credited and nothing is open."""
    states = {one.state for one in arrived}
    if State.REVIEW in states:
        return "review"
    if State.CONFIRMING in states:
        return "confirming"
    if State.SEEN in states:
        return "seen"
    return "paid" if State.CREDITED in states else "awaiting"


def reasons(arrived: Sequence[Arrived]) -> list[str]:
    """Why something is in review, each reason once, always in the same order."""
    found = {one.review for one in arrived if one.state == State.REVIEW}
    return [reason for reason in Review.values if reason in found]


def _at(chain: str, address: str, arrived: Sequence[Arrived]) -> AddressStatus:
    settled = [one for one in arrived if _is_settled(one)]
    waiting = [one for one in arrived if not _is_settled(one)]
    confirmations = min((one.confirmations for one in waiting), default=settled[-1].confirmations if settled else 0)
    return AddressStatus(
        chain=chain,
        address=address,
        seen=sum(one.amount for one in arrived),
        confirmed=sum(one.amount for one in settled),
        confirmations=confirmations,
        required=settings.CONFIRMATIONS[chain],
        final=settings.ETH_FINALITY if chain == Chain.ETH else "depth",
    )


def _in_sight(cursor: ChainCursor | None, now: datetime) -> bool:
    """Whether what is there would be seen: somebody followed the chain up to its tip within the last minute. One step
    that failed is no reason to alarm people."""
    if cursor is None or cursor.followed_at is None:
        return False
    return cursor.height >= cursor.tip_height and now - cursor.followed_at <= IN_SIGHT


def _followed_up_to(cursors: Mapping[str, ChainCursor], *, nothing_before: datetime) -> datetime:
    """When both chains were last looked at. Before the addresses were handed out nothing can have arrived."""
    found = [cursors[chain].followed_at if chain in cursors else None for chain in Chain.values]
    return min(moment or nothing_before for moment in found)


def _is_settled(one: Arrived) -> bool:
    return one.state == State.CREDITED or (one.state == State.REVIEW and one.review != Review.REORG)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"

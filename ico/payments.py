"""How far a participant's payment is, in the shape that the payment API promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from ico import caps
from ico.amounts import in_coins
from ico.models import Chain, ChainCursor, Deposit, DepositAddress, Invitation

State, Review = Deposit.State, Deposit.Review


@dataclass(frozen=True, slots=True)
class Arrived:
    """A transfer to one address. `confirmations` is 0 while it is in no block."""

    amount: int
    state: str
    review: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class AddressStatus:
    """`seen` is all that is on its way or there, `confirmed` what is deep enough, whether it was credited or not."""

    chain: str
    address: str
    seen: int
    confirmed: int
    confirmations: int  # of the shallowest transfer that is not deep enough, else of the newest one
    required: int


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """Cents and smallest units; `as_json` writes them as decimal strings. `reasons`: why deposits are in review."""

    state: str
    reasons: Sequence[str]
    currency: str
    cap_cents: int
    credited_cents: int
    fills: dict[str, int]  # per chain, the amount that would fill what remains of the allowance
    deposits: Sequence[AddressStatus]
    as_of: datetime

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
                }
                for at in self.deposits
            ],
            "poll_after_seconds": settings.POLL_SECONDS,
            "as_of": self.as_of.isoformat(),
        }


def status(invitation: Invitation, *, now: datetime) -> PaymentStatus:
    """Two queries, if the invitation came with its sale and rates (as `invitations.find` gives it)."""
    heights = dict(ChainCursor.objects.values_list("chain", "height"))
    rows = DepositAddress.objects.filter(invitation=invitation).values_list(
        "chain", "address", "deposits__amount", "deposits__state", "deposits__review", "deposits__block_height"
    )
    places: dict[str, tuple[str, list[Arrived]]] = {}
    for chain, address, amount, state, review, height in rows.order_by("chain", "deposits__first_seen_at", "deposits"):
        _, arrived = places.setdefault(chain, (address, []))
        if amount is not None and state != State.DROPPED:
            depth = 0 if height is None else max(0, heights.get(chain, -1) - height + 1)
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
        as_of=now,
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
    )


def _is_settled(one: Arrived) -> bool:
    return one.state == State.CREDITED or (one.state == State.REVIEW and one.review != Review.REORG)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"

"""Investors who are played: each pays the deposit address of a joined invitation, once, on the simulated chain.

Who pays how much and on which chain follows from the seed and the invitation alone, and who has paid already is asked
of the chain: so a player that is stopped and started again goes on where it was, and pays nobody twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from ico import caps
from ico.chains.simulated import SimulatedChain
from ico.models import Chain, DepositAddress, Invitation

MANNERS = ("exact", "under", "over", "late", "dust")
USUAL = {"exact": 70, "under": 12, "over": 10, "late": 4, "dust": 4}


class BadMix(ValueError):
    """The mix of manners cannot be used."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the investor of one invitation does."""

    manner: str
    chain: str
    share: float  # of the allowance, or of the minimum deposit if it is dust


@dataclass(frozen=True, slots=True)
class Payment:
    invitation_id: int
    plan: Plan
    amount: int
    txid: str


def mix_from(text: str) -> dict[str, int]:
    """Read "exact=70,under=30"; manners that are not named do not happen."""
    mix: dict[str, int] = {}
    for part in text.split(","):
        manner, _, weight = part.strip().partition("=")
        if manner not in MANNERS or not weight.isdecimal():
            raise BadMix(f"give weights of {', '.join(MANNERS)}, for example exact=70,over=30")
        mix[manner] = int(weight)
    if not sum(mix.values()):
        raise BadMix("at least one weight must be above zero")
    return mix


def plan_for(invitation_id: int, *, seed: int, mix: Mapping[str, int]) -> Plan:
    dice = Random(f"{seed}:{invitation_id}")  # noqa: S311 (a play, not a secret)
    manners = [manner for manner in MANNERS if mix.get(manner)]
    manner = dice.choices(manners, weights=[mix[manner] for manner in manners])[0]
    share = {"under": dice.uniform(0.1, 0.9), "over": dice.uniform(1.05, 2.0), "dust": dice.uniform(0.01, 0.9)}
    return Plan(manner=manner, chain=dice.choice(Chain.values), share=share.get(manner, 1.0))


def pay_due(*, chains: Mapping[str, SimulatedChain], seed: int, mix: Mapping[str, int], now: datetime) -> list[Payment]:
    """Pay for everybody whose turn it is and who has not paid: at once, or if late when the time to pay is over."""
    addresses = list(
        DepositAddress.objects.filter(invitation__isnull=False)
        .select_related("invitation__sale", "invitation__btc_rate", "invitation__eth_rate")
        .order_by("invitation_id")
    )
    paid = {
        row.owner_id
        for name, chain in chains.items()
        for done in [chain.paid([row.address for row in addresses if row.chain == name])]
        for row in addresses
        if row.chain == name and row.address in done
    }
    payments = []
    for row in addresses:
        plan = plan_for(row.owner_id, seed=seed, mix=mix)
        if row.chain == plan.chain and row.owner_id not in paid and _is_due(plan, row.owner, now):
            amount = _amount(plan, row.owner)
            txid = chains[plan.chain].send(row.address, amount)
            payments.append(Payment(row.owner_id, plan, amount, txid))
    return payments


def _is_due(plan: Plan, invitation: Invitation, now: datetime) -> bool:
    ends = invitation.pay_until or invitation.sale.closes_at
    return now > ends if plan.manner == "late" else now <= ends


def _amount(plan: Plan, invitation: Invitation) -> int:
    rate = invitation.btc_rate if plan.chain == Chain.BTC else invitation.eth_rate
    # The personal cap and not the allowance, which is cut when the time to pay is over.
    whole = invitation.sale.minimum_deposit_cents if plan.manner == "dust" else invitation.sale.personal_cap_cents
    return max(1, caps.amount_for(int(whole * plan.share), rate, plan.chain))

"""Investors who are played: each pays the deposit address of a joined invitation, once, out of a purse of play money.

Who pays how much and on which chain follows from the seed and the invitation alone, and who has paid already is asked
of the chains when a player starts: so one that is stopped and started again goes on where it was, and pays nobody
twice. Until then it remembers who is not due yet, and up to where it has looked. Where a payment failed, the chain is
asked again before the next try: a node may have taken it and answered too late.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from django.db.models import Max

from ico import addresses, caps
from ico.chains.base import ChainError
from ico.chains.purse import Purse
from ico.models import Chain, DepositAddress, Invitation, Rate

MANNERS = ("exact", "under", "over", "late", "dust")
USUAL = {"exact": 70, "under": 12, "over": 10, "late": 4, "dust": 4}
AGAIN_AFTER = timedelta(seconds=30)
CHUNK = 500


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
    """`txid` is empty where the node took the payment and failed before it said so."""

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


class Player:
    """Plays everybody. What it remembers: an index for each chain below which every address was looked at, the few
    above it that were handed out before others, and those who are not due yet."""

    def __init__(self, *, purses: Mapping[str, Purse], seed: int, mix: Mapping[str, int]) -> None:
        self._purses, self._seed, self._mix = purses, seed, mix
        self._paid: set[int] | None = None  # invitations that were paid for before this player began
        self._floor = dict.fromkeys(purses, 0)
        self._above: dict[str, set[int]] = {chain: set() for chain in purses}
        self._due: dict[str, list[tuple[datetime, int]]] = {chain: [] for chain in purses}  # heaps of addresses' keys
        self._in_doubt: set[int] = set()  # addresses' keys: whether the payment that failed was taken is not known

    def pay_due(self, *, chain: str, now: datetime) -> Iterator[Payment]:
        """Pay on this chain for everybody whose turn it is: at once, or if late when the time to pay is over. A payment
        that fails is tried again later, and its error raised: any `ChainError`, or `purse.RealMoney`."""
        self._look(chain, now)
        due = self._due[chain]
        while due and due[0][0] <= now:
            row = _address(due[0][1])
            plan = plan_for(row.owner_id, seed=self._seed, mix=self._mix)
            ends = _ends(row.owner)
            if plan.manner == "late" and now <= ends:  # it was moved meanwhile
                heapq.heapreplace(due, (_after(ends), row.pk))
            elif plan.manner != "late" and now > ends:
                heapq.heappop(due)
            else:
                yield self._pay(plan, row, now)

    def _pay(self, plan: Plan, row: DepositAddress, now: datetime) -> Payment:
        purse, due = self._purses[row.chain], self._due[row.chain]
        plan, amount = _amount(plan, row.owner, purse.least)
        try:
            taken = row.pk in self._in_doubt and purse.paid([row.address])
            self._in_doubt.add(row.pk)
            txid = "" if taken else purse.send(row.address, amount)
        except ChainError:
            heapq.heapreplace(due, (now + AGAIN_AFTER, row.pk))
            raise
        self._in_doubt.remove(row.pk)
        heapq.heappop(due)
        return Payment(row.owner_id, plan, amount, txid)

    def _look(self, chain: str, now: datetime) -> None:
        """Take in whoever was given an address since the last look."""
        paid = self._paid_before()
        floor = _lowest_free(chain)  # before the look: what is below was handed out already
        handed_out = addresses.issued(chain).filter(index__gte=self._floor[chain]).select_related("invitation__sale")
        for row in handed_out.order_by("index").iterator(CHUNK):
            if row.index not in self._above[chain]:
                self._above[chain].add(row.index)
                self._plan(row, paid, now)
        self._floor[chain] = max(floor, self._floor[chain])
        self._above[chain] = {index for index in self._above[chain] if index >= self._floor[chain]}

    def _plan(self, row: DepositAddress, paid: set[int], now: datetime) -> None:
        plan = plan_for(row.owner_id, seed=self._seed, mix=self._mix)
        if plan.chain == row.chain and row.owner_id not in paid:
            due = _after(_ends(row.owner)) if plan.manner == "late" else now
            heapq.heappush(self._due[row.chain], (due, row.pk))

    def _paid_before(self) -> set[int]:
        if self._paid is None:
            self._paid = {key for chain in self._purses for key in self._paid_on(chain)}
        return self._paid

    def _paid_on(self, chain: str) -> set[int]:
        owners = dict(addresses.issued(chain).values_list("address", "invitation_id"))
        return {owners[address] for address in self._purses[chain].paid(owners)} if owners else set()


def _lowest_free(chain: str) -> int:
    """The index below which every address was handed out."""
    free = addresses.waiting(chain).order_by("index").values_list("index", flat=True).first()
    if free is not None:
        return free
    highest = DepositAddress.objects.filter(chain=chain).aggregate(highest=Max("index"))["highest"]
    return 0 if highest is None else highest + 1


def _address(key: int) -> DepositAddress:
    joined = ("invitation__sale", "invitation__release", "invitation__btc_rate", "invitation__eth_rate")
    return DepositAddress.objects.select_related(*joined).get(pk=key)


def _ends(invitation: Invitation) -> datetime:
    return invitation.pay_until or invitation.sale.closes_at


def _after(ends: datetime) -> datetime:
    return ends + timedelta(microseconds=1)


def _amount(plan: Plan, invitation: Invitation, least: int) -> tuple[Plan, int]:
    """What is paid, and how that is to be called: where the smallest amount that a chain passes on is above the sale's
    minimum there is no dust, and it is simply too little."""
    rate: Rate = invitation.btc_rate if plan.chain == Chain.BTC else invitation.eth_rate
    minimum = invitation.sale.minimum_deposit_cents
    whole = minimum if plan.manner == "dust" else _allowance(invitation)
    amount = max(least, 1, caps.amount_for(int(whole * plan.share), rate, plan.chain))
    if plan.manner == "dust" and caps.worth_cents(amount, rate, plan.chain) >= minimum:
        plan = replace(plan, manner="under")
    return plan, amount


def _allowance(invitation: Invitation) -> int:
    """Cents, as given: it is cut when the time to pay is over, and the sale may give others something else since."""
    return int(invitation.release.inputs["allowance_cents"])

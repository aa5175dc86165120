"""The release: how many people are invited, when, and why not more.

`decide` is a pure function of its inputs; every decision is recorded with them, so a log of decisions can be replayed
against another policy. `release` takes the lease, decides and carries it out in one transaction. Without a fresh
reading of the chain's load nobody is invited: it fails closed.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from config import transactions
from ico import board, caps, invitations, leases, locks, outbox
from ico.chains.load import Holding, Marks, holding, price_gwei
from ico.models import Chain, ChainReading, Entrant, Invitation, OutboxMessage, Release, Sale

Reason = Release.Reason
LEASE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a decision is made from. Money in cents; `ready`: people waiting, counted up to one batch;
    `rates_known`: an invitation can fix what a coin is worth; `load`: 0 to 1, None when never read;
    `load_age_seconds`, fees: None likewise. Decisions that were recorded before prices were have none."""

    now: datetime
    opens_at: datetime
    closes_at: datetime
    paused: bool
    room_cents: int
    allowance_cents: int
    batch_size: int
    interval_seconds: int
    last_released_at: datetime | None
    ready: int
    rates_known: bool
    load: float | None
    load_age_seconds: float | None
    load_max_age_seconds: int
    load_high: float
    load_low: float
    gate_closed: bool
    base_fee_wei: int | None = None
    tip_wei: int | None = None
    gas_price_high_gwei: float | None = None
    gas_price_low_gwei: float | None = None

    @property
    def gas_price_gwei(self) -> float | None:
        if self.base_fee_wei is None or self.tip_wei is None:
            return None
        return price_gwei(base_fee=self.base_fee_wei, tip=self.tip_wei)

    @property
    def read(self) -> bool:
        """Whatever has marks was read, once."""
        return self.load is not None and (self.gas_price_high_gwei is None or self.gas_price_gwei is not None)

    @property
    def fresh(self) -> bool:
        age = self.load_age_seconds
        return self.read and age is not None and 0 <= age <= self.load_max_age_seconds


@dataclass(frozen=True, slots=True)
class Decision:
    """How many to invite, why, and whether the gate on the chain's load and gas price is closed from now on."""

    size: int
    reason: Release.Reason
    gate_closed: bool


def decide(inputs: Inputs) -> Decision:
    """How many to invite now."""
    held = held_by(inputs)
    gate_closed = bool(held) if inputs.read else inputs.gate_closed
    hold = _hold(inputs, held)
    if hold is not None:
        return Decision(0, hold, gate_closed)
    size = min(inputs.batch_size, inputs.ready, inputs.room_cents // inputs.allowance_cents)
    return Decision(size, Reason.RELEASED, gate_closed)


def held_by(inputs: Inputs) -> tuple[Holding, ...]:
    """What keeps the gate closed, by these readings and marks."""
    if inputs.load is None:
        return ()
    marks = Marks(inputs.load_high, inputs.load_low, inputs.gas_price_high_gwei, inputs.gas_price_low_gwei)
    return holding(load=inputs.load, price=inputs.gas_price_gwei, marks=marks, was_closed=inputs.gate_closed)


def _hold(inputs: Inputs, held: tuple[Holding, ...]) -> Release.Reason | None:
    """The first reason to invite nobody, in the order in which an operator would want to hear it."""
    if inputs.now < inputs.opens_at:
        return Reason.NOT_OPEN
    if inputs.now >= inputs.closes_at:
        return Reason.CLOSED
    if inputs.paused:
        return Reason.PAUSED
    if not inputs.fresh:
        return Reason.NO_SIGNAL
    if held:
        return Reason.CHAIN_BUSY if held[0].measure == "load" else Reason.GAS_PRICE
    if not inputs.rates_known:
        return Reason.NO_RATE
    if inputs.room_cents < inputs.allowance_cents:
        return Reason.CAP_REACHED
    if not inputs.ready:
        return Reason.NOBODY_WAITING
    if inputs.last_released_at and inputs.now < inputs.last_released_at + timedelta(seconds=inputs.interval_seconds):
        return Reason.INTERVAL
    return None


def release(*, sale_id: int, holder: str, now: datetime) -> Release | None:
    """Decide once for this sale and carry it out. None while another releaser holds the lease."""
    record = _decide_and_invite(sale_id, holder, now)
    if record is not None and record.size:
        board.publish(sale_id)
    return record


@transactions.retried
def _decide_and_invite(sale_id: int, holder: str, now: datetime) -> Release | None:
    if not leases.held(f"release:{sale_id}", holder=holder, seconds=LEASE_SECONDS, now=now):
        return None
    candidates = _next_in_line(Sale.objects.get(pk=sale_id))
    sale = locks.sale(sale_id)
    inputs = _inputs(sale, len(candidates), now)
    decision = decide(inputs)
    if decision.gate_closed != sale.gate_closed:
        Sale.objects.filter(pk=sale_id).update(gate_closed=decision.gate_closed)
    record = _record(sale, inputs, decision)
    if decision.size:
        _invite(sale, record, candidates[: decision.size], now)
    return record


def replay(record: Release, **policy: Any) -> Decision:
    """What the recorded inputs lead to, under another policy if one is named (`batch_size=200`, `load_high=0.8`...)."""
    return decide(replace(recorded(record), **policy))


def recorded(record: Release) -> Inputs:
    fields = dict(record.inputs)
    for name in ("now", "opens_at", "closes_at", "last_released_at"):
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    return Inputs(**fields)


def _next_in_line(sale: Sale) -> list[Entrant]:
    """The next batch, locked: nobody of it can leave before the decision is carried out."""
    waiting = Entrant.objects.filter(sale=sale, state=Entrant.State.WAITING, number__gt=sale.served).order_by("number")
    keys = list(waiting.values_list("pk", flat=True)[: sale.batch_size])
    return sorted(locks.entrants(keys, state=Entrant.State.WAITING), key=lambda entrant: entrant.number or 0)


def _inputs(sale: Sale, ready: int, now: datetime) -> Inputs:
    last = sale.releases.filter(reason=Reason.RELEASED).order_by("-decided_at").values_list("decided_at", flat=True)
    return Inputs(
        now=now,
        opens_at=sale.opens_at,
        closes_at=sale.closes_at,
        paused=sale.paused,
        room_cents=sale.total_cap_cents - sale.reserved_cents,
        allowance_cents=sale.personal_cap_cents,
        batch_size=sale.batch_size,
        interval_seconds=sale.batch_interval_seconds,
        last_released_at=last.first(),
        ready=ready,
        rates_known=all(caps.has_rate(chain) for chain in Chain.values),
        **gauge_inputs(sale, ChainReading.objects.filter(chain=Chain.ETH).first(), now),
    )


def gauge_inputs(sale: Sale, reading: ChainReading | None, now: datetime) -> dict[str, Any]:
    """Those of the inputs that the gate depends on."""
    return {
        "load": reading.load if reading else None,
        "load_age_seconds": (now - reading.observed_at).total_seconds() if reading else None,
        "load_max_age_seconds": sale.chain_load_max_age_seconds,
        "load_high": sale.chain_load_high,
        "load_low": sale.chain_load_low,
        "gate_closed": sale.gate_closed,
        "base_fee_wei": int(reading.base_fee) if reading else None,
        "tip_wei": int(reading.tip) if reading else None,
        "gas_price_high_gwei": sale.gas_price_high_gwei,
        "gas_price_low_gwei": sale.gas_price_low_gwei,
    }


def _record(sale: Sale, inputs: Inputs, decision: Decision) -> Release:
    """Write the decision down. A hold for the same reason as before is counted, not repeated."""
    if not decision.size:
        newest = sale.releases.order_by("-decided_at", "-pk").first()
        if newest is not None and newest.reason == decision.reason:
            Release.objects.filter(pk=newest.pk).update(repeats=F("repeats") + 1, last_decided_at=inputs.now)
            return newest
    return Release.objects.create(
        sale=sale,
        decided_at=inputs.now,
        last_decided_at=inputs.now,
        reason=decision.reason,
        size=decision.size,
        served_before=sale.served,
        served_after=sale.served,
        inputs={
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(inputs).items()
        },
    )


class ReleaseRefused(Exception):
    """The database did not take the release as decided; nothing of it was written."""


def _invite(sale: Sale, record: Release, invited: list[Entrant], now: datetime) -> None:
    """Reserve the allowances, invite exactly these people and move the board, or nothing of it."""
    if not caps.reserve(sale.pk, len(invited) * sale.personal_cap_cents):
        raise ReleaseRefused("the total cap has no room for this batch any more")
    keys = [entrant.pk for entrant in invited]
    moved = Entrant.objects.filter(pk__in=keys, state=Entrant.State.WAITING).update(state=Entrant.State.INVITED)
    if moved != len(invited):
        raise ReleaseRefused("somebody of this batch left in the same moment")
    rates = {chain: caps.rate_now(chain) for chain in Chain.values}
    expires_at = min(now + timedelta(seconds=sale.invitation_lifetime_seconds), sale.closes_at)
    made = [(entrant, invitations.new_key()) for entrant in invited]
    Invitation.objects.bulk_create(
        Invitation(
            sale=sale,
            entrant=entrant,
            release=record,
            nonce=key.nonce,
            token_digest=key.token_digest,
            allowance_cents=sale.personal_cap_cents,
            btc_rate=rates[Chain.BTC],
            eth_rate=rates[Chain.ETH],
            invited_at=now,
            expires_at=expires_at,
        )
        for entrant, key in made
    )
    outbox.put_many(kind=OutboxMessage.Kind.INVITATION, entrants=invited, now=now)
    served = max(entrant.number or 0 for entrant in invited)
    Sale.objects.filter(pk=sale.pk).update(served=served)
    Release.objects.filter(pk=record.pk).update(served_after=served)
    record.served_after = served

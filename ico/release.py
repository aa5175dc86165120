"""The release: a decision is made, recorded with everything that it was made from, and carried out, by whoever holds
the lease, in one transaction."""

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from config import transactions
from ico import board, caps, invitations, leases, locks, outbox
from ico.decision import Decision, Inputs, Reason, decide
from ico.models import Chain, ChainReading, Entrant, Invitation, OutboxMessage, Release, Sale

LEASE_SECONDS = 10


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
    outbox.put(kind=OutboxMessage.Kind.INVITATION, entrants=invited, now=now)
    served = max(entrant.number or 0 for entrant in invited)
    Sale.objects.filter(pk=sale.pk).update(served=served)
    Release.objects.filter(pk=record.pk).update(served_after=served)
    record.served_after = served

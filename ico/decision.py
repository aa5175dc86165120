"""The decision: how many people are invited now, and why not more. Pure: `release` records its inputs with each, so a
log of decisions can be replayed against another policy. Without a fresh reading of the gauge nobody is invited.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ico.chains.load import Holding, Marks, holding, price_gwei
from ico.models import Release

Reason = Release.Reason
SOONER_SECONDS = 10  # a reading may be taken while the releaser waits for a lock, or by a machine whose clock is ahead


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
    gas_price_low_gwei: float | None = None  # both or none of the two

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
        return self.read and age is not None and -SOONER_SECONDS <= age <= self.load_max_age_seconds


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

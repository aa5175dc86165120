"""Why nobody is invited, in words with the figures that an operator would ask for next."""

from collections.abc import Callable
from math import floor, log10

from ico.chains.load import Holding
from ico.decision import SOONER_SECONDS, Inputs, Reason, held_by
from ico.models import Release
from ico.release import recorded
from ico.templatetags.words import duration


def recorded_why(record: Release) -> str:
    """As it was when the decision was made; of a hold that repeats, when it began."""
    return why(record.reason, recorded(record)) if record.reason in _WORDS else record.get_reason_display()


def why(reason: str, inputs: Inputs, *, trouble: str = "") -> str:
    """The reason as these inputs show it; its usual words where they do not show it any more. `trouble`: why the load
    cannot be read now, for a hold that comes from that."""
    words = _WORDS.get(reason)
    told = (words(inputs) if words else "") or str(Reason(reason).label)
    return f"{told}: {trouble}" if trouble and reason == Reason.NO_SIGNAL else told


def _gate(inputs: Inputs) -> str:
    return " and ".join(map(_held, held_by(inputs)))


def _held(holding: Holding) -> str:
    is_above = "is above" if holding.above else "has not fallen below"
    if holding.measure == "load":
        return f"the chain's load {_apart(holding, 2)} {is_above} {holding.mark:.2f}"
    return f"the gas price {gwei(holding.value, least=_decimals(holding))} gwei {is_above} {holding.mark:g}"


def gwei(value: float, *, least: int = 0) -> str:
    """Three digits that count, and at least so many decimals: on one chain a gas costs 300 gwei, on another 0.004."""
    shown = 0 if value <= 0 else max(0, 2 - floor(log10(value)))
    return f"{value:.{max(shown, least)}f}"


def _apart(holding: Holding, decimals: int) -> str:
    return f"{holding.value:.{max(decimals, _decimals(holding))}f}"


def _decimals(holding: Holding) -> int:
    """As many as tell the value from its mark: 0.90 is above 0.90 would explain nothing."""
    if holding.value == holding.mark:
        return 0
    return next((d for d in range(9) if round(holding.value, d) != round(holding.mark, d)), 9)


def _no_signal(inputs: Inputs) -> str:
    age = inputs.load_age_seconds
    if inputs.load is None or age is None:
        return "the chain's load was never read"
    if not inputs.read:
        return "the gas price was never read"
    if age < -SOONER_SECONDS:
        return f"the newest reading of the chain's load is from {-age:.0f} s in the future"
    if age > inputs.load_max_age_seconds:
        at_most = inputs.load_max_age_seconds
        return f"the newest reading of the chain's load is {_old(age)} old, and {at_most} s at most count"
    return ""


def _old(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else duration(seconds)


def _no_room(inputs: Inputs) -> str:
    left, allowance = inputs.room_cents / 100, inputs.allowance_cents / 100
    return f"no room for another allowance under the total cap: {left:,.2f} are left, an allowance is {allowance:,.2f}"


_WORDS: dict[str, Callable[[Inputs], str]] = {
    Reason.CHAIN_BUSY: _gate,
    Reason.GAS_PRICE: _gate,
    Reason.NO_SIGNAL: _no_signal,
    Reason.CAP_REACHED: _no_room,
}

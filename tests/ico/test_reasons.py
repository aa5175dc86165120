"""An operator reads why nobody is invited, with the figures and never with a riddle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ico import reasons
from ico.decision import Reason, decide
from tests.ico.test_release import PRICED, USUAL


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load": 0.93}, "the chain's load 0.93 is above 0.90"),
        ({"load": 0.9004}, "the chain's load 0.9004 is above 0.90"),
        ({"load": 0.8, "gate_closed": True}, "the chain's load 0.80 has not fallen below 0.70"),
        ({"load": 0.7, "gate_closed": True}, "the chain's load 0.70 has not fallen below 0.70"),
        ({"base_fee_wei": 47_200_000_000}, "the gas price 48.2 gwei is above 40"),
        ({"base_fee_wei": 39_001_000_000}, "the gas price 40.001 gwei is above 40"),
        ({"base_fee_wei": 36 * 10**9, "gate_closed": True}, "the gas price 37.0 gwei has not fallen below 35"),
        (
            {"load": 0.95, "base_fee_wei": 1_200 * 10**9},
            "the chain's load 0.95 is above 0.90 and the gas price 1201 gwei is above 40",
        ),
        (
            {"base_fee_wei": 40_000_000, "tip_wei": 4_300_000, "gas_price_high_gwei": 0.04, "gas_price_low_gwei": 0.02},
            "the gas price 0.0443 gwei is above 0.04",
        ),
        ({"load": None, "load_age_seconds": None}, "the chain's load was never read"),
        ({"base_fee_wei": None}, "the gas price was never read"),
        ({"load_age_seconds": 312.4}, "the newest reading of the chain's load is 312 s old, and 120 s at most count"),
        (
            {"load_age_seconds": 7_300},
            "the newest reading of the chain's load is about 2 hours old, and 120 s at most count",
        ),
        ({"load_age_seconds": -40}, "the newest reading of the chain's load is from 40 s in the future"),
        (
            {"room_cents": 30_050, "allowance_cents": 100_000},
            "no room for another allowance under the total cap: 300.50 are left, an allowance is 1,000.00",
        ),
        ({"paused": True}, "paused by the operator"),
        ({"rates_known": False}, "no rate between a coin and the currency is recorded"),
    ],
)
def test_the_words_name_what_holds(change: dict[str, Any], words: str) -> None:
    inputs = replace(PRICED, **change)
    decision = decide(inputs)
    assert decision.size == 0
    assert reasons.why(decision.reason, inputs) == words


def test_a_reason_that_is_over_is_said_in_its_usual_words() -> None:
    assert reasons.why(Reason.CHAIN_BUSY, USUAL) == "the chain's load is above the mark"
    assert reasons.why(Reason.NO_SIGNAL, USUAL) == "no fresh reading of the chain's load"

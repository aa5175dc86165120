"""Why the chain's load is not read, as an operator is told."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from ico import alarms, deposits, nodes, release
from ico.chains.base import BadAnswer
from ico.chains.simulated import SimulatedChain
from ico.models import ChainCursor, ChainReading, Sale
from ico.steps import Steps


@pytest.mark.parametrize(
    "error", [BadAnswer("the fee history\nhas no blocks"), ValueError("the fee history\nhas no blocks")]
)
def test_why_the_load_is_not_read_is_written_down(
    tmp_path: Path, sale: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    ethereum = SimulatedChain(tmp_path / "eth.sqlite3", chain="ETH")
    monkeypatch.setattr(deposits, "client_for", lambda chain: ethereum)
    monkeypatch.setattr(nodes, "gauged", lambda: ethereum)
    monkeypatch.setattr("ico.steps.LOAD_SECONDS", 0.0)
    steps = Steps("ETH")

    def unread(**where: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(deposits, "read_load", unread)
        for _ in range(2):
            steps.take()
    assert ChainCursor.objects.get().load_trouble == "the fee history?has no blocks"
    (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert bool(told.exc_info) == isinstance(error, ValueError)
    assert "load" in [alarm.about for alarm in alarms._following(ChainCursor.objects.all(), timezone.now())]
    steps.take()
    assert (ChainCursor.objects.get().load_trouble, ChainReading.objects.count()) == ("", 1)


def test_the_hold_says_why(admin_client: Client, sale: Sale, now: datetime) -> None:
    def why() -> str:
        cache.clear()
        return str(admin_client.get("/ops/data.json").json()["hold"]["why"])

    assert release.release(sale_id=sale.pk, holder="test", now=timezone.now())
    ChainCursor.objects.create(chain="ETH", load_trouble="the fee history has no blocks")
    assert why() == "the chain's load was never read: the fee history has no blocks"
    ChainCursor.objects.update(load_trouble="")
    assert why() == "the chain's load was never read"
    ChainCursor.objects.update(load_trouble="the fee history has no blocks")
    Sale.objects.update(paused=True)
    assert release.release(sale_id=sale.pk, holder="test", now=timezone.now())
    assert why() == "paused by the operator"

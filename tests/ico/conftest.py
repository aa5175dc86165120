"""Steps that many tests of the sale take."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from ico import release, waitlist
from ico.models import Chain, ChainReading, Invitation, Sale


@pytest.fixture(autouse=True)
def _commits_run_their_hooks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that runs inside one transaction never commits; what waits for the commit runs at once instead, as it
    would in autocommit. Tests with real commits (transaction=True) need no such thing."""
    marker = request.node.get_closest_marker("django_db")
    if marker is not None and not marker.kwargs.get("transaction") and "transactional_db" not in request.fixturenames:
        from django.db import transaction

        monkeypatch.setattr(transaction, "on_commit", lambda step, *args, **kwargs: step())


def join(sale: Sale, email: str) -> waitlist.Place:
    return waitlist.join(email=email, client_address="192.0.2.1", now=timezone.now())


def numbered(sale: Sale) -> None:
    while waitlist.give_numbers(sale_id=sale.pk):
        pass


def read_load(load: float, now: datetime, *, base_fee: int = 10**9, tip: int = 10**9) -> None:
    values = {"load": load, "base_fee": base_fee, "tip": tip, "observed_at": now}
    ChainReading.objects.update_or_create(chain=Chain.ETH, defaults=values)


def invite_all(sale: Sale, now: datetime, **rules: Any) -> list[Invitation]:
    """Number everybody and invite one batch, as the workers would."""
    Sale.objects.filter(pk=sale.pk).update(**{"batch_interval_seconds": 0, **rules})
    numbered(sale)
    read_load(0.5, now)
    release.release(sale_id=sale.pk, holder="test", now=now)
    return list(Invitation.objects.filter(sale=sale).order_by("pk"))

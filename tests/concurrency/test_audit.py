"""The audit looks at one moment, while work goes on."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest
from django.db import connection, connections

from config import audit
from ico import invariants, waitlist
from ico.models import Sale
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db(transaction=True)


def rival(sale: Sale) -> None:
    """Somebody signs up and is numbered, on a connection of their own, and is not kept waiting by the audit."""

    def work() -> None:
        join(sale, "rival@example.org")
        waitlist.give_numbers(sale_id=sale.pk)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def interrupted(monkeypatch: pytest.MonkeyPatch, sale: Sale) -> None:
    """Put the rival exactly between reading the sale and counting its numbers."""
    honest = invariants.Entrant.objects.filter
    once = [True]

    def filter_after_the_rival(*args: object, **kwargs: object) -> object:
        if once and "number__isnull" in kwargs:
            once.clear()
            rival(sale)
        return honest(*args, **kwargs)

    monkeypatch.setattr(invariants.Entrant.objects, "filter", filter_after_the_rival)


def test_what_happens_during_the_audit_is_not_seen_by_it(
    sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()  # as in a fresh process, which has not connected yet
    interrupted(monkeypatch, sale)
    report = audit.run(audit.Evidence(now=now))
    assert [result.name for result in report.results if not result.holds] == []
    sale.refresh_from_db()
    assert sale.last_number == 1


def test_without_one_moment_the_same_audit_accuses_honest_books(
    sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    interrupted(monkeypatch, sale)
    assert invariants.numbers_dense(audit.Evidence(now=now)).breaches != ()

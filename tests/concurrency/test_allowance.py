"""The last allowances under the total cap, and many who want them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from ico import caps, leases, release, sales
from ico.models import Entrant, Invitation, Release, Sale
from tests.concurrency.rivals import broken, together, without
from tests.ico.conftest import join, numbered, read_load

pytestmark = pytest.mark.django_db(transaction=True)

PLACES, CLAIMANTS, CONNECTIONS = 7, 200, 40


@pytest.fixture
def nearly_full(sale: Sale) -> Sale:
    """A sale in which seven allowances are left, and a half."""
    sale.total_cap_cents = PLACES * sale.personal_cap_cents + sale.personal_cap_cents // 2
    sale.save()
    return sale


def claims(sale: Sale, claim: Callable[[], bool]) -> tuple[Counter[bool], list[BaseException]]:
    """200 claims on 40 connections. Returns how many were granted and refused, and what was raised."""
    answers: list[bool] = []

    def several() -> None:
        for _ in range(CLAIMANTS // CONNECTIONS):
            answers.append(claim())

    raised = together(*[several] * CONNECTIONS)
    sale.refresh_from_db()
    return Counter(answers), raised


def test_of_200_claims_for_7_places_7_are_granted(nearly_full: Sale) -> None:
    def claim() -> bool:
        with transaction.atomic():
            return caps.reserve(nearly_full.pk, nearly_full.personal_cap_cents)

    assert claims(nearly_full, claim) == (Counter({False: 193, True: 7}), [])
    assert nearly_full.reserved_cents == PLACES * nearly_full.personal_cap_cents


def look_then_reserve(sale: Sale, looked: threading.Barrier) -> bool:
    known = Sale.objects.get(pk=sale.pk)
    room = known.total_cap_cents - known.reserved_cents >= known.personal_cap_cents
    looked.wait(30)
    if room:
        Sale.objects.filter(pk=sale.pk).update(reserved_cents=F("reserved_cents") + known.personal_cap_cents)
    return room


def last_place(sale: Sale) -> None:
    assert caps.reserve(sale.pk, (PLACES - 1) * sale.personal_cap_cents)


def test_looking_before_reserving_is_stopped_by_the_constraint(nearly_full: Sale) -> None:
    """The conditional UPDATE taken away: the database itself refuses the second one."""
    last_place(nearly_full)
    looked = threading.Barrier(2)
    (refused,) = together(*[lambda: look_then_reserve(nearly_full, looked)] * 2)
    assert isinstance(refused, IntegrityError)
    nearly_full.refresh_from_db()
    assert nearly_full.reserved_cents == PLACES * nearly_full.personal_cap_cents


def test_without_condition_and_constraint_an_eighth_is_promised(nearly_full: Sale) -> None:
    """Negative control."""
    last_place(nearly_full)
    looked = threading.Barrier(2)
    with without(Sale, "sale_total_cap_holds"):
        assert together(*[lambda: look_then_reserve(nearly_full, looked)] * 2) == []
        nearly_full.refresh_from_db()
        assert nearly_full.reserved_cents == (PLACES + 1) * nearly_full.personal_cap_cents
        assert nearly_full.reserved_cents > nearly_full.total_cap_cents


def crowd(sale: Sale) -> None:
    for n in range(CLAIMANTS):
        join(sale, f"v{n}@example.org")
    numbered(sale)


def release_often(sale: Sale, now: datetime, holder: str) -> Callable[[], None]:
    def live() -> None:
        for _ in range(3):
            release.release(sale_id=sale.pk, holder=holder, now=now)

    return live


@pytest.mark.parametrize("lease", ["kept", "taken away"])
def test_many_releasers_invite_7_of_200(
    lease: str, nearly_full: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease lets one of them decide; without it the rows' locks and the cap still let only seven in."""
    if lease == "taken away":
        monkeypatch.setattr(leases, "held", lambda *args, **kwargs: True)
    Sale.objects.update(batch_interval_seconds=0, batch_size=5)
    crowd(nearly_full)
    read_load(0.5, now)
    assert together(*[release_often(nearly_full, now, f"releaser {n}") for n in range(8)]) == []
    release.release(sale_id=nearly_full.pk, holder="releaser 0", now=now)
    invited = Entrant.objects.filter(state="invited").order_by("number").values_list("number", flat=True)
    assert list(invited) == [1, 2, 3, 4, 5, 6, 7]
    assert Invitation.objects.count() == PLACES
    assert broken(now) == set()


def test_without_the_lease_two_holders_decide(
    nearly_full: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control for the lease."""
    join(nearly_full, "ada@example.org")
    release.release(sale_id=nearly_full.pk, holder="one", now=now)
    assert release.release(sale_id=nearly_full.pk, holder="two", now=now) is None
    monkeypatch.setattr(leases, "held", lambda *args, **kwargs: True)
    assert isinstance(release.release(sale_id=nearly_full.pk, holder="two", now=now), Release)


def test_the_operator_lowers_the_cap_while_the_last_are_invited(nearly_full: Sale, now: datetime) -> None:
    """Either the batch was promised first and the cap cannot be lowered, or the cap was lowered and the batch waits."""
    Sale.objects.update(batch_interval_seconds=0)
    crowd(nearly_full)
    read_load(0.5, now)

    def lower() -> None:
        sales.change(sale_id=nearly_full.pk, total_cap_cents=nearly_full.personal_cap_cents)

    raised = together(lower, release_often(nearly_full, now, "one"))
    nearly_full.refresh_from_db()
    lowered = nearly_full.total_cap_cents == nearly_full.personal_cap_cents
    assert [type(error) for error in raised] == ([] if lowered else [sales.BelowReserved])
    assert Invitation.objects.count() == (1 if lowered else PLACES)
    assert broken(now) == set()

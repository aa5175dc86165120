"""What is bought together: counted from the orders, however often, and never more than was bought."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from shop import tasks, together
from shop.models import BoughtTogether, Order, Product
from tests.shop.recommending.conftest import bought

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.org", "ann@example.org")


def counted(product: Product) -> list[tuple[int, int]]:
    rows = BoughtTogether.objects.filter(product=product).order_by("-orders", "other")
    return list(rows.values_list("other", "orders"))


def test_products_of_one_paid_order_belong_together(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    lamp, chair, table, *_ = catalogue_of_12
    bought(ann, lamp, chair, at=now)
    bought(ann, lamp, chair, table, at=now, quantity=5)  # orders count, not pieces
    assert together.count(since=None, now=now) == 3
    assert counted(lamp) == [(chair.pk, 2), (table.pk, 1)]
    assert counted(table) == [(lamp.pk, 1), (chair.pk, 1)]


@pytest.mark.parametrize("state", [state for state in Order.State if state != Order.State.PAID])
def test_what_was_not_paid_counts_nothing(
    catalogue_of_12: list[Product], ann: User, now: datetime, state: Order.State
) -> None:
    bought(ann, *catalogue_of_12[:2], at=now, state=state)
    together.count(since=None, now=now)
    assert BoughtTogether.objects.count() == 0


def test_counting_twice_is_counting_once(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    bought(ann, *catalogue_of_12[:2], at=now)
    together.count(since=None, now=now)
    together.count(since=now, now=now)
    assert counted(catalogue_of_12[0]) == [(catalogue_of_12[1].pk, 1)]


def test_only_what_was_settled_since_is_counted_again(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    lamp, chair, table, rug, *_ = catalogue_of_12
    bought(ann, lamp, chair, at=now - timedelta(hours=1))
    together.count(since=None, now=now)
    BoughtTogether.objects.filter(product=lamp).update(orders=7)  # shows whether it is touched
    bought(ann, table, rug, at=now)
    assert together.count(since=now, now=now) == 2
    assert counted(lamp) == [(chair.pk, 7)]
    assert counted(table) == [(rug.pk, 1)]
    bought(ann, lamp, rug, at=now - together.OVERLAP / 2)  # its transaction ended after the last count
    together.count(since=now, now=now)
    assert counted(lamp) == [(chair.pk, 1), (rug.pk, 1)]


def test_what_was_cancelled_after_all_goes(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    order = bought(ann, *catalogue_of_12[:2], at=now)
    together.count(since=None, now=now)
    Order.objects.filter(pk=order.pk).update(state=Order.State.CANCELLED)
    together.count(since=now, now=now)
    assert BoughtTogether.objects.count() == 0


def test_what_is_too_old_goes_with_a_whole_count(catalogue_of_12: list[Product], ann: User, now: datetime) -> None:
    bought(ann, *catalogue_of_12[:2], at=now - together.WINDOW / 2)
    together.count(since=None, now=now)
    assert BoughtTogether.objects.count() == 2
    together.count(since=None, now=now + together.WINDOW)
    assert BoughtTogether.objects.count() == 0


def test_the_table_is_bounded_and_a_count_repeats_itself(
    catalogue_of_12: list[Product], ann: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "KEPT", 4)
    monkeypatch.setattr(together, "AT_ONCE", 5)
    bought(ann, *catalogue_of_12, at=now)
    bought(ann, catalogue_of_12[0], catalogue_of_12[-1], at=now)
    together.count(since=None, now=now)
    first = [pk.pk for pk in catalogue_of_12]
    assert counted(catalogue_of_12[0]) == [(first[-1], 2), (first[1], 1), (first[2], 1), (first[3], 1)]
    assert BoughtTogether.objects.count() == 12 * 4
    rows = set(BoughtTogether.objects.values_list("pk", flat=True))
    together.count(since=None, now=now)
    assert set(BoughtTogether.objects.values_list("pk", flat=True)) == rows


def test_a_clock_counts_everything_once_a_day(now: datetime) -> None:
    morning = now.replace(hour=9)
    assert together.since(counted_at=None, now=morning) is None
    assert together.since(counted_at=morning, now=morning.replace(hour=10)) == morning
    assert together.since(counted_at=morning, now=morning + timedelta(days=1)) is None


def test_the_clock_counts_what_came_since_its_last_tick(
    catalogue_of_12: list[Product], ann: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_counted_at", None)
    bought(ann, *catalogue_of_12[:2], at=now - timedelta(days=1))
    tasks.count_together()
    assert counted(catalogue_of_12[0]) == [(catalogue_of_12[1].pk, 1)]
    bought(ann, *catalogue_of_12[2:4], at=timezone.now())
    tasks.count_together()
    assert counted(catalogue_of_12[2]) == [(catalogue_of_12[3].pk, 1)]

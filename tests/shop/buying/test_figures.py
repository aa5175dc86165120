"""What Prometheus is told of orders."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from shop import figures
from shop.models import Order, Variant
from tests.shop.buying.test_orders import fill, place, settle

pytestmark = pytest.mark.django_db


def test_orders_are_counted_and_the_oldest_that_waits_is_told(ann: User, lamp: Variant, now: datetime) -> None:
    assert figures.waiting(now=now) == 0
    for minute in (0, 1):
        fill(ann, now, lamp=1)
        place(ann, now + timedelta(minutes=minute))
    later = now + timedelta(minutes=5)
    assert figures.waiting(now=later) == 300
    assert settle(now) == 1
    assert figures.waiting(now=later) == 240
    nothing = dict.fromkeys(Order.State.values, 0)
    assert figures.by_state() == {**nothing, "reserved": 1, "paid": 1}
    settle(later)
    assert figures.waiting(now=later) == 0
    assert figures.by_state()["paid"] == 1  # for some seconds
    cache.clear()
    assert figures.by_state()["paid"] == 2

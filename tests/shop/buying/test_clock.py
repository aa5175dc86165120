"""The shop's ticks under the clock that runs: what is due happens, without anybody calling it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.beat import Service
from django.conf import settings as ours
from django.contrib.auth.models import User
from django.utils import timezone

from config import clock
from shop import cart, tasks
from shop.models import Cart, Order, Variant
from tests.deadline import until
from tests.shop.buying.conftest import Left, person
from tests.shop.buying.test_orders import fill, place

pytestmark = pytest.mark.django_db(transaction=True)
TICKS = ("settle", "expire-orders", "tidy-shop")  # as the schedule names them


@contextmanager
def ticking() -> Iterator[None]:
    """The clock of `settings`, with these three of its entries, and quicker."""
    app = Celery("shop-clock", broker="memory://", set_as_current=False)
    for name in TICKS:
        task = ours.CELERY_BEAT_SCHEDULE[name]["task"]
        app.conf.beat_schedule[name] = {"task": task, "schedule": timedelta(seconds=0.02)}
    app.finalize()  # the shop's tasks are in it, as in any application
    service = Service(app, scheduler_cls=clock.Scheduler)
    loop = threading.Thread(target=service.start)
    loop.start()
    try:
        yield
    finally:
        service.stop()
        loop.join(90)
        assert not loop.is_alive()
        if tasks._desk is not None:
            tasks._desk.close()
            tasks._desk = None


def test_an_order_is_paid_by_the_running_clock(ann: User, lamp: Variant, settings: Any, left: Left) -> None:
    settings.PAYMENT_SECONDS = 0.01
    now = timezone.now()
    fill(ann, now, lamp=3)
    order = place(ann, now)
    with ticking():
        until(lambda: Order.objects.get(pk=order.pk).state == "paid", "the order is paid")
    assert left(lamp) == (7, 0)


def test_a_refused_order_runs_out_by_the_clock(ann: User, lamp: Variant, settings: Any, left: Left) -> None:
    settings.PAYMENT_SECONDS = 0.01
    settings.PAYMENT_REFUSED_PERCENT = 100
    settings.RESERVATION_SECONDS = 0.2
    now = timezone.now()
    fill(ann, now, lamp=3)
    order = place(ann, now)
    assert order.reserved_until == now + timedelta(seconds=0.2)
    with ticking():
        until(lambda: Order.objects.get(pk=order.pk).state == "expired", "the reservation has run out")
    order.refresh_from_db()
    assert order.settled_at is not None
    assert order.settled_at >= order.reserved_until
    assert left(lamp) == (10, 0)


def test_a_guests_cart_is_forgotten_by_the_clock(lamp: Variant, now: datetime) -> None:
    kept = cart.Owner(customer=person().pk)
    for owner in (cart.NOBODY, kept):
        cart.add(owner=owner, variant=lamp.pk, quantity=1, now=now)
    Cart.objects.update(used_at=now - timedelta(days=cart.GUEST_DAYS + 1))
    with ticking():
        until(lambda: not Cart.objects.filter(customer=None).exists(), "the guest's cart is gone")
    assert cart.look(kept).count == 1

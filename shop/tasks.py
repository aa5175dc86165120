"""Ticks of the shop, which the clock's own process runs (`config/clock.py`). Each translates and calls; each is safe to
run twice and at the same time, because rows are claimed."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from shop import cart, changes, events, orders, payment, recommendations, settling, together

_desk: settling.Desk | None = None
_counted_at: datetime | None = None  # None in a clock that has just begun: it counts everything


@shared_task(name="shop.settle")
def settle() -> None:
    """Begin to settle the payments that are due, in threads of their own."""
    global _desk
    if _desk is None:
        _desk = settling.Desk(payment.provider, clock=timezone.now)
    _desk.begin()


@shared_task(name="shop.expire")
def expire() -> None:
    """End the reservations whose time is over."""
    orders.expire(now=timezone.now())


@shared_task(name="shop.tidy")
def tidy() -> None:
    """Forget guests' carts that nobody came back for, and what customers saw long ago."""
    while cart.forget(now=timezone.now()) == cart.FORGOTTEN_AT_ONCE:
        pass
    recommendations.forget_old()


@shared_task(name="shop.together")
def count_together() -> None:
    """Count what is bought together, as far as orders have changed; everything once a day."""
    global _counted_at
    now = timezone.now()
    together.count(since=together.since(counted_at=_counted_at, now=now), now=now)
    _counted_at = now


@shared_task(name="shop.turn")
def turn() -> None:
    """Tell which events and announcements began or ended; clear changes that everybody was told of."""
    now = timezone.now()
    events.tell_time(now=now)
    changes.clear_old(now=now)

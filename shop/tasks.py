"""Ticks of the shop, which the clock's own process runs (`config/clock.py`). Each translates and calls; each is safe to
run twice and at the same time, because rows are claimed."""

from celery import shared_task
from django.utils import timezone

from shop import cart, orders, payment, settling

_desk: settling.Desk | None = None


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
    """Forget guests' carts that nobody came back for."""
    cart.forget(now=timezone.now())

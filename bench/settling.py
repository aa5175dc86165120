"""How many orders a second are settled on MariaDB, and how long does a quick payment wait behind slow ones?

python -m bench.settling [orders] [slow orders]

The clock's own way: its schedule's tick every half second, the threads of `shop.settling`, the dummy provider at its
usual 0.3 s and at 0.05 s. Then orders whose bank answers too late, and one behind them whose bank does not.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.local_stack import servers
from bench.side_by_side import machine

TICK_SECONDS = 0.5


def main() -> None:
    count, slow = (int(value) for value in (*sys.argv[1:], *("300", "24")[len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder,
        servers(Path(folder), "mariadb", "redis") as environment,
    ):
        os.environ.update(environment, DJANGO_SETTINGS_MODULE="config.settings", STAMPEDE_LOG_LEVEL="ERROR")
        _prepare()
        for seconds in (0.3, 0.05):
            ordered(count, "test")
            took = settle(seconds, until=lambda: not _waiting())
            print(f"provider at {seconds} s: {count / took:.1f} orders a second, {count} orders ({machine()})")
        ordered(slow, "test-slow")
        ordered(1, "test")
        took = settle(0.3, until=lambda: not _waiting(card="test"))
        print(f"a quick payment behind {slow} slow ones is made after {took:.1f} s")


def _prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from shop.models import Category, Product, Variant

    call_command("migrate", verbosity=0)
    shelf = Category.objects.create(slug="house", name="House")
    lamp = Product.objects.create(
        slug="lamp", category=shelf, title="Lamp", brand="Ulm", description="", price_cents=999
    )
    Variant.objects.create(product=lamp, sku="lamp", price_cents=999, stock=10_000)


def ordered(count: int, card: str) -> None:
    """Each by a customer of its own."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from shop import cart, orders
    from shop.address_book import Destination
    from shop.models import Variant

    home = Destination("Ann", "High Street 1", "10115", "Berlin", "DE")
    variant, first = Variant.objects.get().pk, User.objects.count()
    for number in range(first, first + count):
        name = f"v{number}@example.org"
        user = User.objects.create(username=name, email=name, password="!")  # noqa: S106 (opens nothing)
        mine = cart.add(owner=cart.Owner(customer=user.pk), variant=variant, quantity=1, now=timezone.now())
        form = orders.key_for(customer=user.pk, contents=cart.look(mine))
        orders.place(customer=user, key=form, to=home, card=card, now=timezone.now())


def settle(seconds: float, *, until: Callable[[], bool]) -> float:
    """Tick until it is so. Returns how many seconds that took."""
    from django.utils import timezone

    from shop import payment, settling

    desk = settling.Desk(lambda: payment.Dummy(seconds=seconds), clock=timezone.now)
    began = ticked = time.monotonic()
    while not until():
        if time.monotonic() >= ticked:
            desk.begin()
            ticked += TICK_SECONDS
        time.sleep(0.02)
    took = time.monotonic() - began
    desk.close()
    return took


def _waiting(**which: Any) -> bool:
    from shop.models import Order

    return Order.objects.filter(state=Order.State.RESERVED, **which).exists()


if __name__ == "__main__":
    main()

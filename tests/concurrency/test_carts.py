"""A guest's cart that is about to be forgotten, and the guest who comes back at that moment."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from shop import cart
from shop.models import Cart
from tests.concurrency.rivals import meanwhile, two_writers
from tests.shop.buying.conftest import thing

pytestmark = pytest.mark.django_db(transaction=True)


@two_writers
def test_a_guest_who_is_coming_back_keeps_the_cart(now: datetime) -> None:
    lamp = thing("lamp")
    guest = cart.add(owner=cart.NOBODY, variant=lamp.pk, quantity=1, now=now)
    Cart.objects.filter(token=guest.guest).update(used_at=now - timedelta(days=31))
    forgotten: list[int] = []
    with transaction.atomic():
        cart.add(owner=guest, variant=lamp.pk, quantity=2, now=now)
        meanwhile(lambda: forgotten.append(cart.forget(now=now)))
    assert (forgotten, cart.look(guest).count) == ([0], 3)
    assert cart.forget(now=now + timedelta(days=31)) == 1

"""Orders for tests of what is recommended: rows as `orders` leaves them, without the way there."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.contrib.auth.models import User

from shop.models import Order, OrderLine, Product, Variant


def bought(
    customer: User, *products: Product, at: datetime, state: Order.State = Order.State.PAID, quantity: int = 1
) -> Order:
    variants = [Variant.objects.filter(product=product).order_by("pk")[0] for product in products]
    order = Order.objects.create(
        number=secrets.token_hex(8),
        key=secrets.token_hex(16),
        customer=customer,
        state=state,
        total_cents=sum(variant.price_cents for variant in variants) * quantity,
        email=customer.email,
        address={},
        placed_at=at,
        reserved_until=at,
        settled_at=None if state == Order.State.RESERVED else at,
        payment_reference=secrets.token_hex(8) if state == Order.State.PAID else "",
    )
    for variant in variants:
        OrderLine.objects.create(
            order=order, variant=variant, sku=variant.sku, unit_cents=variant.price_cents, quantity=quantity
        )
    return order

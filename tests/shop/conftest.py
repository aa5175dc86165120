"""A small catalogue for tests of the shop, made by the code that seeds a large one."""

from __future__ import annotations

import pytest
from django.utils import timezone

from shop.models import Product
from shop.seeding import filling


def small_shop(*, products: int = 12, kinds: int = 3, seed: int = 1) -> list[Product]:
    """So many products in the first `kinds` categories, by number; pictures have names and no files."""
    filling.seed(products=products, seed=seed, now=timezone.now(), kinds=kinds)
    return list(Product.objects.order_by("pk"))


@pytest.fixture
def catalogue_of_12(db: None) -> list[Product]:
    """12 products of 3 categories, with events and announcements."""
    return small_shop()

"""Two operators change prices of one product at the same moment: what the product shows is the lowest of both."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial

import pytest

from shop import catalogue
from shop.models import Product
from tests.concurrency.rivals import together, two_writers
from tests.shop.conftest import small_shop

pytestmark = [pytest.mark.django_db(transaction=True), two_writers]


@pytest.mark.parametrize(("guarded", "shown"), [(True, {30_000}), (False, {10_000, 20_000})])
def test_the_lowest_price_is_that_of_both_changes(
    monkeypatch: pytest.MonkeyPatch, guarded: bool, shown: set[int]
) -> None:
    row = next(row for row in small_shop() if row.was_cents is None and row.variants.count() >= 2)
    one, other, *rest = row.variants.all()
    row.variants.filter(pk__in=[variant.pk for variant in rest]).update(price_cents=90_000)
    catalogue.set_price(variant_id=other.pk, price_cents=20_000)
    catalogue.set_price(variant_id=one.pk, price_cents=10_000)

    both, follow = threading.Barrier(2), catalogue._follow_prices

    def when_both_have_written(product: Product) -> None:
        if guarded:
            with suppress(threading.BrokenBarrierError):  # the other is kept waiting outside
                both.wait(1)
        else:
            both.wait(30)
        follow(product)

    monkeypatch.setattr(catalogue, "_follow_prices", when_both_have_written)
    if not guarded:
        monkeypatch.setattr(catalogue, "_locked", lambda pk: Product.objects.get(pk=pk))
    raised = together(
        partial(catalogue.set_price, variant_id=one.pk, price_cents=30_000),
        partial(catalogue.set_price, variant_id=other.pk, price_cents=40_000),
    )
    assert raised == []
    row.refresh_from_db()
    assert row.price_cents in shown

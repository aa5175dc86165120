"""What sells stands further up: pieces sold of late are added to the popularity that a product was given.

They are counted anew from the orders, as `together` counts, and `Product.sold` says how many of a popularity they are.
So a count takes the last one's place, and a cancellation takes back what it had added. Pages are told only where a
product has passed another one, each shelf once a count; a shelf whose order stays the same is not made anew for it.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from django.db.models import Q, QuerySet, Sum

from config import transactions
from shop import changes
from shop.models import Order, OrderLine, Product

MOST_SHOWN = 8  # of the whole shop: the home page shows no more


def count(products: Collection[int], *, since: datetime) -> int:
    """Count the pieces of these products in orders paid and placed since then. Returns how many have other numbers than
    before."""
    sold = _pieces(products, since)
    rows = Product.objects.filter(pk__in=products).order_by("pk").values_list("pk", "sold")
    other = {pk: sold.get(pk, 0) for pk, known in rows if known != sold.get(pk, 0)}
    if other:
        _book(other)
    return len(other)


def _pieces(products: Collection[int], since: datetime) -> dict[int, int]:
    lines = OrderLine.objects.filter(
        variant__product__in=products, order__state=Order.State.PAID, order__placed_at__gte=since
    )
    return dict(lines.values_list("variant__product").annotate(Sum("quantity")).order_by())


@transactions.retried
def _book(sold: Mapping[int, int]) -> None:
    rows = list(Product.objects.select_for_update().filter(pk__in=sold).order_by("pk"))
    first = _first_of_all()
    tags = {tag for row in rows for tag in _move(row, sold[row.pk])}
    if _first_of_all() != first:
        tags.add(changes.HOME)
    changes.tell(tags)


def _move(row: Product, sold: int) -> Iterator[str]:
    """The row is ours. The tags of the shelves on which it has passed another product."""
    popularity = row.popularity - row.sold + sold
    passed = _between(row.pk, *sorted((row.popularity, popularity)))
    if row.active and passed.filter(category=row.category_id).exists():
        yield changes.category(row.category_id)
    if row.active and row.was_cents is not None and passed.exclude(was_cents=None).exists():
        yield changes.DEALS
    Product.objects.filter(pk=row.pk).update(popularity=popularity, sold=sold)


def _between(product: int, low: int, high: int) -> QuerySet[Product]:
    """Those that stand behind this one when it has the `high` popularity, and before it when it has the `low` one; of
    two alike the older stands first."""
    behind = Q(popularity__lt=high) | Q(popularity=high, pk__gt=product)
    before = Q(popularity__gt=low) | Q(popularity=low, pk__lt=product)
    return Product.objects.filter(behind, before, active=True, popularity__range=(low, high))


def _first_of_all() -> list[int]:
    ranked = Product.objects.filter(active=True).order_by("-popularity", "pk")
    return list(ranked.values_list("pk", flat=True)[:MOST_SHOWN])

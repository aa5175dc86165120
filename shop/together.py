"""Which products are bought together, and how many of each (`popularity`): counted in the background, so that a page
reads a row and not the orders.

What changed is counted anew from the orders themselves, product by product, never added to what was counted before:
counting twice does no harm, and a count that was missed is made good by the next whole one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db.models import Count, F

from config import transactions
from shop import popularity
from shop.models import BoughtTogether, Order, OrderLine

WINDOW = timedelta(days=90)  # what was bought longer ago says little of what is bought now
KEPT = 12  # of a product; a page shows six of them, and some may be withdrawn
AT_ONCE = 200  # products; a transaction is then a few thousand rows
# An order's time is taken before its transaction commits.
OVERLAP = timedelta(minutes=1)

Counts = dict[int, dict[int, int]]  # product -> other -> orders with both


def since(*, counted_at: datetime | None, now: datetime) -> datetime | None:
    """What to count from, when it was counted last at that moment: None for everything, which is due with the first
    count of a day, for orders grow too old without being touched."""
    if counted_at is None or counted_at.date() != now.date():
        return None
    return counted_at


def count(*, since: datetime | None, now: datetime) -> int:
    """Count the products of the orders that were settled since then, None for all products. Returns how many were
    counted."""
    products = sorted(_touched(since - OVERLAP) if since else _all())
    for first in range(0, len(products), AT_ONCE):
        some = products[first : first + AT_ONCE]
        _replace(_counted(some, since=now - WINDOW))
        popularity.count(some, since=now - WINDOW)
    return len(products)


def _touched(since: datetime) -> set[int]:
    lines = OrderLine.objects.filter(order__settled_at__gte=since)
    return set(lines.values_list("variant__product", flat=True).distinct())


def _all() -> set[int]:
    sold = OrderLine.objects.values_list("variant__product", flat=True).distinct()
    return {*sold, *BoughtTogether.objects.values_list("product", flat=True).distinct()}


def _counted(products: Iterable[int], *, since: datetime) -> Counts:
    lines = OrderLine.objects.filter(
        variant__product__in=list(products), order__state=Order.State.PAID, order__placed_at__gte=since
    )
    pairs = lines.annotate(other=F("order__lines__variant__product")).exclude(other=F("variant__product"))
    found: Counts = defaultdict(dict, {product: {} for product in products})
    rows = pairs.values_list("variant__product", "other").annotate(orders=Count("order", distinct=True)).order_by()
    for product, other, orders in rows:
        found[product][other] = orders
    return {product: _best(others) for product, others in found.items()}


def _best(others: dict[int, int]) -> dict[int, int]:
    """Those most often bought; of two alike the older one, so that a count of the same orders gives the same."""
    return dict(sorted(others.items(), key=lambda one: (-one[1], one[0]))[:KEPT])


@transactions.retried
def _replace(counts: Counts) -> None:
    known = {(row.product_id, row.other_id): row for row in BoughtTogether.objects.filter(product__in=list(counts))}
    wanted = {(row.product_id, row.other_id): row for row in _rows(counts)}
    gone = [row.pk for pair, row in known.items() if pair not in wanted]
    BoughtTogether.objects.filter(pk__in=gone).delete()
    changed = [row for pair, row in known.items() if pair in wanted and row.orders != wanted[pair].orders]
    for row in changed:
        row.orders = wanted[row.product_id, row.other_id].orders
    BoughtTogether.objects.bulk_update(changed, ["orders"], batch_size=500)
    new = [row for pair, row in wanted.items() if pair not in known]
    # A second clock may have counted the same orders.
    BoughtTogether.objects.bulk_create(new, batch_size=500, ignore_conflicts=True)


def _rows(counts: Counts) -> Iterator[BoughtTogether]:
    for product, others in sorted(counts.items()):
        for other, orders in sorted(others.items()):
            yield BoughtTogether(product_id=product, other_id=other, orders=orders)

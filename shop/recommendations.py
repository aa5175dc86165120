"""What is shown beside a product: what others bought with it (`together` counts that), and what its reader has seen.

The first part is the same for everybody and comes from the object cache; the second is read for one customer.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count

from shop import catalogue, changes, object_cache
from shop.models import BoughtTogether, Product, Sighting
from shop.wares import Card, NotThere

SHOWN = 6
IDS_SECONDS = 300  # how long the choice of products may be old; what their cards say is never
SEEN_AGAIN = timedelta(
    minutes=10
)  # a second look within this time is not written: a page that is reloaded costs no row
SEEN_KEPT = 50  # sightings of one customer


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a product. `bought_together`: false when nobody has bought it together with anything yet, and
    the cards are the most popular ones of its category, whose name is `shelf`."""

    product_id: int
    title: str
    shelf: str
    bought_together: bool
    cards: tuple[Card, ...]


def beside(product: str) -> Beside:
    """By slug. Raises `NotThere`. Costs no query while the object cache has it."""
    chosen = object_cache.get(
        f"beside:{product}",
        tags=frozenset({changes.DEPARTMENTS}),
        seconds=IDS_SECONDS,
        make=lambda: _choose(product),
    )
    cards = _cards(chosen["ids"])[:SHOWN]
    return Beside(chosen["product"], chosen["title"], chosen["shelf"], chosen["together"], cards)


def _choose(slug: str) -> dict[str, Any]:
    found = Product.objects.filter(slug=slug, active=True).values("pk", "title", "category", "category__name").first()
    if found is None:
        raise NotThere(f"There is no product {slug[:120]}.")
    ids = list(
        BoughtTogether.objects.filter(product=found["pk"], other__active=True)
        .order_by("-orders", "other")
        .values_list("other", flat=True)
    )
    return {
        "product": found["pk"],
        "title": found["title"],
        "shelf": found["category__name"],
        "together": bool(ids),
        "ids": ids or _popular_of(found["category"], without=found["pk"]),
    }


def _popular_of(category: int, *, without: int) -> list[int]:
    """A few more than are shown, for some may be withdrawn while this is remembered."""
    rows = Product.objects.filter(category=category, active=True).exclude(pk=without).order_by("-popularity", "pk")
    return list(rows.values_list("pk", flat=True)[: SHOWN * 2])


def _cards(ids: list[int]) -> tuple[Card, ...]:
    """In this order, those that are still sold."""
    if not ids:
        return ()
    known = object_cache.get(
        "cards:" + ",".join(map(str, ids)),
        tags=frozenset(map(changes.product, ids)),
        seconds=IDS_SECONDS,
        make=lambda: [asdict(card) for card in catalogue.cards(ids).values()],
    )
    cards = {card["id"]: Card(**card) for card in known}
    return tuple(cards[pk] for pk in ids if pk in cards)


# --- what a customer has seen -----------------------------------------------------------------------------------------
def saw(*, customer: User, product_id: int, now: datetime) -> None:
    """Note that the customer looked at it. Nothing is written when that was noted a moment ago."""
    row = Sighting.objects.filter(customer=customer, product=product_id)
    known = row.values_list("seen_at", flat=True).first()
    if known is None:  # two pages may be opened at the same moment
        Sighting.objects.bulk_create(
            [Sighting(customer=customer, product_id=product_id, seen_at=now)], ignore_conflicts=True
        )
    elif now - known >= SEEN_AGAIN:
        row.update(seen_at=now)


def seen_by(*, customer: User, without: int) -> tuple[Card, ...]:
    """What the customer looked at, the newest first, without the product that is in front of them."""
    rows = Sighting.objects.filter(customer=customer, product__active=True).exclude(product=without)
    ids = list(rows.order_by("-seen_at", "-pk").values_list("product", flat=True)[:SHOWN])
    return _cards(ids)


def forget_old() -> int:
    """Keep the newest sightings of each customer only. Returns how many went."""
    many = Sighting.objects.values("customer").annotate(kept=Count("pk")).filter(kept__gt=SEEN_KEPT).order_by()
    gone = 0
    for customer in list(many.values_list("customer", flat=True)):
        mine = Sighting.objects.filter(customer=customer).order_by("-seen_at", "-pk")
        old = list(mine.values_list("pk", flat=True)[SEEN_KEPT:])
        gone += Sighting.objects.filter(pk__in=old).delete()[0]
    return gone

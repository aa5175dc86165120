"""The catalogue: what is read of it, and how its prices, texts and stock are changed.

A page that shows a card is no longer true when its product's tag is told; one that shows which products stand on a
shelf, and in which order, when its category's is, or `changes.DEALS`. Whoever changes something here tells just these,
in the same transaction. Withdrawn products and variants are not there for whoever reads.
"""

from collections.abc import Iterable
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Count, Exists, F, FilteredRelation, Min, OuterRef, Q, QuerySet

from config.transactions import retried
from shop import changes, models
from shop.wares import Card, Choice, Facts, Image, NotThere, Shelf, Shelfmark

__all__ = ["Card", "Choice", "Facts", "Image", "NotThere", "Shelf", "Shelfmark"]

PAGE_SIZE = 24
SORTS = ("popular", "price", "price-down", "new")
MOST_TOLD = 10  # pieces of a variant; how many more there are is nobody's business
MOST_CENTS = 10_000_000
MOST_PIECES = 1_000_000


class BadValue(ValueError):
    """The catalogue cannot take it; the message names what to fix."""


# The product's own number ends each order, so that pages neither repeat nor lose a product of the same price; it runs
# the way of the column before it, for then one index serves the order forwards and backwards.
_ORDERS = {
    "popular": ("-popularity", "pk"),
    "price": ("price_cents", "pk"),
    "price-down": ("-price_cents", "-pk"),
    "new": ("-created_at", "pk"),
}


def categories() -> tuple[Shelfmark, ...]:
    """All of them, in the menu's order."""
    return tuple(_shelfmark(row) for row in _counted())


def category(slug: str) -> Shelfmark:
    """Raises `NotThere`."""
    row = _counted().filter(slug=slug).first()
    if row is None:
        raise NotThere(f"There is no category {slug[:60]}.")
    return _shelfmark(row)


def shelf(
    *,
    category: Shelfmark,
    sort: str = "popular",
    low_cents: int | None = None,
    high_cents: int | None = None,
    page: int = 1,
) -> Shelf:
    """Products of a category whose price is within both ends, included. Raises `NotThere` for a page beyond the last
    one and for an unknown order; without products there is one page, an empty one."""
    found = _active().filter(category_id=category.id)
    if low_cents is not None:
        found = found.filter(price_cents__gte=low_cents)
    if high_cents is not None:
        found = found.filter(price_cents__lte=high_cents)
    return _page(found, sort=sort, page=page)


def deals(*, page: int = 1) -> Shelf:
    """What costs less than before. Raises `NotThere` as `shelf` does."""
    return _page(_active().exclude(was_cents=None), sort="popular", page=page)


def newest(n: int) -> tuple[Card, ...]:
    return _in_order(list(_active().order_by(*_ORDERS["new"]).values_list("pk", flat=True)[:n]))


def popular(n: int) -> tuple[Card, ...]:
    return _in_order(list(_active().order_by(*_ORDERS["popular"]).values_list("pk", flat=True)[:n]))


def cards(ids: Iterable[int]) -> dict[int, Card]:
    """By id, those that are still sold. One query."""
    rows = _with_card(_active().filter(pk__in=list(ids)))
    return {row.pk: _card(row) for row in rows}


def product(slug: str) -> Facts:
    """Raises `NotThere`. Four queries."""
    row = _with_card(_active().filter(slug=slug)).first()
    if row is None:
        raise NotThere(f"There is no product {slug[:120]}.")
    return Facts(
        card=_card(row),
        description=row.description,
        attributes=tuple((str(name), str(value)) for name, value in row.attributes.items()),
        category=category(row.category.slug),
        choices=tuple(_choice(one) for one in row.variants.filter(active=True)),
        images=tuple(Image(_url(one.small), _url(one.large), one.alt) for one in row.pictures.all()),
    )


def _active() -> QuerySet[models.Product]:
    return models.Product.objects.filter(active=True)


def _counted() -> QuerySet[models.Category]:
    return models.Category.objects.annotate(sold=Count("products", filter=Q(products__active=True)))


def _shelfmark(row: models.Category) -> Shelfmark:
    return Shelfmark(row.pk, row.slug, row.name, row.description, row.sold)  # type: ignore[attr-defined]


def _page(found: QuerySet[models.Product], *, sort: str, page: int) -> Shelf:
    if sort not in _ORDERS:
        raise NotThere(f"There is no such order; there are {', '.join(SORTS)}.")
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    if not 1 <= page <= pages:
        raise NotThere(f"There is no such page; there are pages 1 to {pages}.")
    first = (page - 1) * PAGE_SIZE
    ids = list(found.order_by(*_ORDERS[sort]).values_list("pk", flat=True)[first : first + PAGE_SIZE])
    return Shelf(cards=_in_order(ids), total=total, page=page, pages=pages)


def _in_order(ids: list[int]) -> tuple[Card, ...]:
    found = cards(ids)
    return tuple(found[pk] for pk in ids if pk in found)  # one may have been withdrawn in between


def _with_card(found: QuerySet[models.Product]) -> QuerySet[models.Product]:
    """With what a card shows: whether a piece can be bought, and the first picture."""
    here = models.Variant.objects.filter(product=OuterRef("pk"), active=True, stock__gt=F("reserved"))
    first = FilteredRelation("pictures", condition=Q(pictures__position=0))
    return (
        found.select_related("category")
        .annotate(first=first, available=Exists(here))
        .annotate(small=F("first__small"), large=F("first__large"), alt=F("first__alt"))
    )


def _card(row: models.Product) -> Card:
    shown = vars(row)  # with what `_with_card` annotated
    return Card(
        id=row.pk,
        slug=row.slug,
        title=row.title,
        brand=row.brand,
        category=row.category.slug,
        price_cents=row.price_cents,
        was_cents=row.was_cents,
        available=bool(shown["available"]),
        picture=_url(shown["small"]),
        picture_large=_url(shown["large"]),
        alt=shown["alt"] or "",
    )


def _choice(row: models.Variant) -> Choice:
    left = min(row.stock - row.reserved, MOST_TOLD)
    return Choice(row.pk, row.sku, row.size, row.colour, row.price_cents, left)


def _url(name: str | None) -> str:
    return default_storage.url(name) if name else ""


# --- changing it ------------------------------------------------------------------------------------------------------
def tags_of_product(pk: int) -> frozenset[str]:
    """Of all pages on which its price may stand, and of those whose order follows from it. Pages of events, the home
    page and whatever else shows cards bear the products' own tags. Empty for no product."""
    row = models.Product.objects.filter(pk=pk).values_list("category_id", "was_cents").first()
    if row is None:
        return frozenset()
    deal = {changes.DEALS} if row[1] is not None else set()
    return frozenset({changes.product(pk), changes.category(row[0]), *deal})


def tell_stock(*, variant_ids: Iterable[int]) -> None:
    """The last piece of these is gone, or there is one again: called in the transaction that made it so. Shelves stay
    as they are, but for the cards of these products."""
    found = models.Variant.objects.filter(pk__in=list(variant_ids)).values_list("product_id", flat=True)
    changes.tell(changes.product(pk) for pk in found)


@retried
def set_price(*, variant_id: int, price_cents: int) -> None:
    """Raises `NotThere` and `BadValue`. What costs as much as before, or more, is a deal no longer."""
    if not 0 < price_cents <= MOST_CENTS:
        raise BadValue(f"A price is between 1 and {MOST_CENTS:,} cents.")
    variant = models.Variant.objects.filter(pk=variant_id).first()
    row = _locked(variant.product_id if variant else None)
    row.variants.filter(pk=variant_id).update(price_cents=price_cents)
    _follow_prices(row)


@retried
def set_deal(*, product_id: int, was_cents: int | None) -> None:
    """Show a higher price from before beside today's; None ends it. Raises `NotThere` and `BadValue`."""
    row = _locked(product_id)
    if was_cents is not None and not row.price_cents < was_cents <= MOST_CENTS:
        raise BadValue(f"The price before was higher than today's, and {MOST_CENTS:,} cents at most.")
    _change(row, was_cents=was_cents)


@retried
def set_stock(*, variant_id: int, stock: int, shown: int | None = None) -> None:
    """How many pieces are here, those that checkouts hold included. `shown`: how many were when that was decided;
    whoever counted then has not seen what was sold since. Raises `NotThere`, and `BadValue` for fewer than are held and
    for a stock that is not as it was shown."""
    if not 0 <= stock <= MOST_PIECES:
        raise BadValue(f"A stock is between 0 and {MOST_PIECES:,} pieces.")
    row = models.Variant.objects.filter(pk=variant_id)
    as_shown = row if shown is None else row.filter(stock=shown)
    if not as_shown.filter(reserved__lte=stock).update(stock=stock):
        raise _not_set(row.values_list("stock", "reserved").first(), shown)
    tell_stock(variant_ids=[variant_id])


def _not_set(counted: tuple[int, int] | None, shown: int | None) -> Exception:
    if counted is None:
        return NotThere("There is no such variant.")
    stock, held = counted
    if shown not in (None, stock):
        return BadValue(f"The stock was {shown} when you were shown it and is {stock} now. Please look again.")
    return BadValue(f"{held} are held by checkouts.")


@retried
def describe(*, product_id: int, title: str | None = None, description: str | None = None) -> None:
    """Other words for a product, None for those that stay; its address stays. Raises `NotThere` and `BadValue`."""
    if title is not None and not 0 < len(title.strip()) <= 120:
        raise BadValue("A title has between 1 and 120 characters.")
    said = {"title": title.strip() if title is not None else None, "description": description}
    _change(_locked(product_id), **{name: words for name, words in said.items() if words is not None})


@retried
def withdraw(*, product_id: int) -> None:
    """It is sold no longer; orders keep what they say of it. Raises `NotThere`."""
    _change(_locked(product_id), active=False)


@retried
def bring_back(*, product_id: int) -> None:
    """The opposite of `withdraw`. Raises `NotThere`."""
    row = _locked(product_id)
    _change(row, active=True)
    # Pages that were made while it was gone bear no tag of it: the newest, and its events.
    changes.tell([changes.HOME, *(changes.event(pk) for pk in row.events.values_list("pk", flat=True))])


@retried
def rename_category(*, category_id: int, name: str) -> None:
    """Another name for a shelf; its address stays. Every page's menu shows it. Raises `NotThere` and `BadValue`."""
    name = name.strip()
    if not 0 < len(name) <= 80 or not name.isprintable():
        raise BadValue("A name has between 1 and 80 characters, and no line breaks.")
    if not models.Category.objects.filter(pk=category_id).update(name=name):
        raise NotThere("There is no such category.")
    changes.tell([changes.DEPARTMENTS, changes.category(category_id)])


def _locked(product_id: int | None) -> models.Product:
    """Two who change variants of one product must not both think the other's price the lowest. Variants are locked by
    nobody who then wants their product (docs/decisions/0011)."""
    row = models.Product.objects.select_for_update().filter(pk=product_id or 0).first()
    if row is None:
        raise NotThere("There is no such product or variant.")
    return row


def _follow_prices(row: models.Product) -> None:
    lowest = row.variants.filter(active=True).aggregate(lowest=Min("price_cents"))["lowest"]
    price = row.price_cents if lowest is None else lowest
    was = row.was_cents if row.was_cents is not None and row.was_cents > price else None
    _change(row, price_cents=price, was_cents=was)


def _change(row: models.Product, **values: Any) -> None:
    before = tags_of_product(row.pk)
    models.Product.objects.filter(pk=row.pk).update(**values)
    changes.tell(before | tags_of_product(row.pk))

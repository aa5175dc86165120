"""The catalogue: what is read of it, as values that caches may keep.

A page that shows a card is no longer true when its `changes.product` is told; one that shows which products stand on a
shelf, when its `changes.category` is. `catalogue_changes` tells both. Withdrawn products and variants are not there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.files.storage import default_storage
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from shop import models

PAGE_SIZE = 24
SORTS = ("popular", "price", "price-down", "new")
MOST_TOLD = 10  # pieces of a variant; how many more there are is nobody's business


class NotThere(LookupError):
    """No such category, product or page of a shelf."""


@dataclass(frozen=True, slots=True)
class Card:
    """A product as shelves, search results and carts show it. Prices in cents; `picture` is a URL, "" for none."""

    id: int
    slug: str
    title: str
    brand: str
    category: str  # slug
    price_cents: int
    was_cents: int | None
    available: bool
    picture: str
    picture_large: str
    alt: str


@dataclass(frozen=True, slots=True)
class Shelfmark:
    """A category, as menus show it."""

    id: int
    slug: str
    name: str
    description: str
    products: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of cards; pages count from 1."""

    cards: tuple[Card, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant as the product page offers it. `left`: pieces that can be bought now, at most `MOST_TOLD`."""

    id: int
    sku: str
    size: str
    colour: str
    price_cents: int
    left: int


@dataclass(frozen=True, slots=True)
class Image:
    small: str  # URL, 320 pixels wide
    large: str  # URL, 960 pixels wide
    alt: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a product's page shows."""

    card: Card
    description: str
    attributes: tuple[tuple[str, str], ...]
    category: Shelfmark
    choices: tuple[Choice, ...]
    images: tuple[Image, ...]


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

"""What is in a cart, as values: whose it is, its lines at the prices of now, and whether they could be ordered."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.files.storage import default_storage
from django.db.models import F, FilteredRelation, Q, QuerySet

from shop.models import CartLine


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose cart: a customer's, or else the guest's that this token names. Neither: nobody's, an empty one."""

    customer: int | None = None
    guest: str | None = None


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is now. `left`: pieces that can be bought, 0 of what is no longer sold."""

    variant: int
    product: int
    slug: str
    title: str
    brand: str
    size: str
    colour: str
    sku: str
    picture: str  # URL, "" for none
    alt: str
    quantity: int
    unit_cents: int
    seen_cents: int
    left: int
    sold: bool

    @property
    def sum_cents(self) -> int:
        return self.quantity * self.unit_cents

    @property
    def kind(self) -> str:
        return ", ".join(part for part in (self.size, self.colour) if part)

    @property
    def fits(self) -> bool:
        return self.sold and self.quantity <= self.left


@dataclass(frozen=True, slots=True)
class Contents:
    lines: tuple[Line, ...]

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def total_cents(self) -> int:
        return sum(line.sum_cents for line in self.lines if line.sold)

    @property
    def fits(self) -> bool:
        """Whether an order of exactly this could be placed now."""
        return bool(self.lines) and all(line.fits for line in self.lines)


def look(owner: Owner) -> Contents:
    """What is in the cart, at the prices of now. One query, none for nobody."""
    if owner == NOBODY:
        return Contents(())
    first = FilteredRelation("variant__product__pictures", condition=Q(variant__product__pictures__position=0))
    rows = _lines_of(owner).annotate(first=first, small=F("first__small"), alt=F("first__alt"))
    return Contents(tuple(_line(row) for row in rows.select_related("variant__product").order_by("pk")))


def _lines_of(owner: Owner) -> QuerySet[CartLine]:
    if owner.customer is not None:
        return CartLine.objects.filter(cart__customer=owner.customer)
    return CartLine.objects.filter(cart__token=owner.guest, cart__customer=None)


def _line(row: CartLine) -> Line:
    variant, product = row.variant, row.variant.product
    sold = variant.active and product.active
    small = row.small  # type: ignore[attr-defined]
    return Line(
        variant=variant.pk,
        product=product.pk,
        slug=product.slug,
        title=product.title,
        brand=product.brand,
        size=variant.size,
        colour=variant.colour,
        sku=variant.sku,
        picture=default_storage.url(small) if small else "",
        alt=row.alt or "",  # type: ignore[attr-defined]
        quantity=row.quantity,
        unit_cents=variant.price_cents,
        seen_cents=row.seen_cents,
        left=variant.stock - variant.reserved if sold else 0,
        sold=sold,
    )

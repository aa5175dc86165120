"""Pieces of variants: held for a checkout, sold, given back. Each step is one conditional UPDATE a variant, in
primary-key order, in the transaction of the order that it belongs to; the table's constraint stands behind it.

Pages are told when what they say of a variant changes: that so few are left (`SCARCE`), that none is, that there are
more again. Of nothing above: a crowd that buys one thing would have its page, and all that show it, made anew with each
sale.
"""

from collections.abc import Mapping

from django.db.models import F

from shop import changes
from shop.models import Variant

Pieces = Mapping[int, int]  # variant -> how many
SCARCE = 4  # below this the product's page says how many are left


class NotEnough(Exception):
    """Fewer pieces of this variant can be had than were wanted; the transaction must be given up."""

    def __init__(self, variant: int, left: int) -> None:
        super().__init__(f"variant {variant}: {left} left")
        self.variant, self.left = variant, left


class NotHeld(RuntimeError):
    """More was sold or given back than is held: the books are wrong somewhere, and the transaction must be given up."""


def reserve(pieces: Pieces) -> None:
    """Hold these for one order. The rows stay locked until the transaction ends. Raises `NotEnough`."""
    for variant, wanted in sorted(pieces.items()):
        here = Variant.objects.filter(pk=variant, active=True, stock__gte=F("reserved") + wanted)
        if not here.update(reserved=F("reserved") + wanted):
            raise NotEnough(variant, _left(variant))
    _tell(pieces, taken=True)


def sell(pieces: Pieces) -> None:
    """What was held leaves the house: pages show the same as before. Raises `NotHeld`."""
    for variant, count in sorted(pieces.items()):
        held = Variant.objects.filter(pk=variant, reserved__gte=count, stock__gte=count)
        _surely(variant, held.update(stock=F("stock") - count, reserved=F("reserved") - count))


def release(pieces: Pieces) -> None:
    """What was held and not paid can be bought again. Raises `NotHeld`."""
    for variant, count in sorted(pieces.items()):
        held = Variant.objects.filter(pk=variant, reserved__gte=count)
        _surely(variant, held.update(reserved=F("reserved") - count))
    _tell(pieces, taken=False)


def put_back(pieces: Pieces) -> None:
    """What was sold is here again. Raises `NotHeld` for a variant that is not there."""
    for variant, count in sorted(pieces.items()):
        _surely(variant, Variant.objects.filter(pk=variant).update(stock=F("stock") + count))
    _tell(pieces, taken=False)


def _surely(variant: int, changed: int) -> None:
    if not changed:
        raise NotHeld(f"variant {variant} does not hold what its order says")


def _left(variant: int) -> int:
    found = Variant.objects.filter(pk=variant, active=True).values_list("stock", "reserved").first()
    return found[0] - found[1] if found else 0


def _tell(pieces: Pieces, *, taken: bool) -> None:
    """Tell the products of those variants of which pages say something else now."""
    rows = Variant.objects.filter(pk__in=list(pieces)).values_list("pk", "product_id", "stock", "reserved")
    crossed = []
    for pk, product, stock, reserved in rows:
        after = stock - reserved
        before = after + (pieces[pk] if taken else -pieces[pk])
        if min(before, SCARCE) != min(after, SCARCE):
            crossed.append(changes.product(product))
    changes.tell(crossed)

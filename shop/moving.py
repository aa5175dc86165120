"""A shop whose data moves, for rehearsals: prices, stock, deals, products that go and come back. The same seed chooses
the same things in the same order; `catalogue` writes them, as it does for everybody.

A change is told with the moments around its commit, so that whoever watches the pages can say how old they were.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from shop import catalogue, models

# How often which kind of change, of a hundred.
SHARES = {"price": 60, "stock": 25, "deal": 10, "product": 5}
_SWING = 0.2  # of the price that a product had in the beginning, up and down
_MOST_AWAY = 5  # products that are withdrawn at the same time


class NothingToMove(Exception):
    """The shop has no product that could change."""


@dataclass(frozen=True, slots=True)
class Moved:
    """`kind`: of SHARES. `began`, `done`: of time.time(); the commit lies between them. `price_cents`: what the
    product's page says from then on, `before_cents` what it said; `sold`: whether it has a page at all."""

    kind: str
    product: str  # slug
    began: float
    done: float
    before_cents: int
    price_cents: int
    sold: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Mover:
    """Changes the `among` most popular products; others stay as they are."""

    def __init__(self, *, seed: int, among: int = 100) -> None:
        """Raises `NothingToMove`."""
        rows = models.Product.objects.filter(active=True, variants__active=True).distinct()
        found = rows.order_by("-popularity", "pk").values_list("pk", "price_cents")[:among]
        self._first_cents = dict(found)
        if not self._first_cents:
            raise NothingToMove("the shop has no product: manage.py seed_shop makes some")
        self._chance = random.Random(f"move {seed}")  # noqa: S311 (a rehearsal, not a secret)
        self._away: list[int] = []

    def change(self) -> Moved:
        """The next one. Raises `catalogue.NotThere` and `catalogue.BadValue` where somebody else changed the same: then
        nothing was changed."""
        (kind,) = self._chance.choices(list(SHARES), list(SHARES.values()))
        here = [pk for pk in self._first_cents if pk not in self._away]
        pk = self._chance.choice(here or self._away)
        if kind == "product":
            return self._come_or_go(pk)
        act = {"price": self._price, "stock": self._stock, "deal": self._deal}[kind]
        return self._told(kind, pk, lambda: act(pk))

    def bring_all_back(self) -> Iterator[Moved]:
        while self._away:
            yield self._bring_back()

    def _price(self, pk: int) -> None:
        """Of the variant whose price the page names."""
        first = self._first_cents[pk]
        variants = models.Variant.objects.filter(product_id=pk, active=True)
        cheapest = variants.order_by("price_cents", "pk").values_list("pk", flat=True).first()
        cents = round(first * self._chance.uniform(1 - _SWING, 1 + _SWING))
        catalogue.set_price(variant_id=cheapest or 0, price_cents=max(1, cents))

    def _stock(self, pk: int) -> None:
        variants = models.Variant.objects.filter(product_id=pk, active=True).order_by("pk")
        chosen, held = self._chance.choice(list(variants.values_list("pk", "reserved")))
        pieces = self._chance.choice((0, 1, 3, 20, 200))
        catalogue.set_stock(variant_id=chosen, stock=held + pieces)

    def _deal(self, pk: int) -> None:
        price, was = models.Product.objects.values_list("price_cents", "was_cents").get(pk=pk)
        catalogue.set_deal(product_id=pk, was_cents=None if was else round(price * 1.25) + 1)

    def _come_or_go(self, pk: int) -> Moved:
        if len(self._away) >= min(_MOST_AWAY, len(self._first_cents) // 2):
            return self._bring_back()
        moved = self._told("product", pk, lambda: catalogue.withdraw(product_id=pk))
        self._away.append(pk)
        return moved

    def _bring_back(self) -> Moved:
        pk = self._away.pop(0)
        return self._told("product", pk, lambda: catalogue.bring_back(product_id=pk))

    def _told(self, kind: str, pk: int, act: Any) -> Moved:
        _, before, _ = _shown(pk)
        began = time.time()
        act()
        done = time.time()
        slug, after, sold = _shown(pk)
        return Moved(kind, slug, began, done, before, after, sold)


def _shown(pk: int) -> tuple[str, int, bool]:
    """Slug, price and whether it is sold, of the primary: a replica may not have it yet."""
    row = models.Product.objects.filter(pk=pk).values_list("slug", "price_cents", "active").first()
    if row is None:
        raise catalogue.NotThere("There is no such product.")
    return row

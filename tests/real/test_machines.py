"""Two web servers of one shop, each with a disk of its own: a change reaches both, and what one lost it makes again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import until
from tests.real.conftest import Site, Stack, gunicorn, servers

pytestmark = pytest.mark.process


@dataclass
class Machine:
    site: Site
    data: Path

    def shows(self, path: str, price: str) -> bool:
        return price.encode() in self.site.get(path).body

    def finds(self, title: str) -> dict[str, Any]:
        """What a search shows first: {} while there is no index."""
        answer = self.site.get(f"/api/search?q={title.replace(' ', '+')}")
        return dict(answer.json["products"][0]) if answer.status == 200 and answer.json["products"] else {}

    def rendered(self) -> int:
        return int(self.site.counted("stampede_page_cache_renderings_total", kind="product", outcome="kept"))

    def has_looked_since(self, moment: float) -> bool:
        return self.site.counted("stampede_changes_looked_at_seconds", table="shop_change") > moment

    def files(self, folder: str) -> set[Path]:
        return {path for path in (self.data / folder).rglob("*") if path.is_file()}

    def lose(self, folder: str) -> None:
        for path in (self.data / folder).iterdir():
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


@dataclass
class Shop:
    stack: Stack
    machines: tuple[Machine, Machine]
    variant: int
    product: int
    title: str
    path: str
    others: str  # the page of another product

    def price(self, cents: int) -> None:
        code = "from shop import catalogue; catalogue.set_price(variant_id=variant, price_cents=cents)"
        self.stack.python(code, variant=self.variant, cents=cents)

    def all_have_looked(self) -> None:
        now = time.time()
        until(lambda: all(machine.has_looked_since(now) for machine in self.machines), "both machines look for changes")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with tempfile.TemporaryDirectory(prefix="stampede-machines-") as place, ExitStack() as stopping:
        stack = stopping.enter_context(servers(Path(place) / "stack", "primary,redis"))
        found = stack.python(_SEED)
        machines = []
        for name in ("one", "two"):
            data = Path(place) / name
            shutil.copytree(stack.layout.data / "static", data / "static")
            machines.append(Machine(stopping.enter_context(gunicorn(stack, STAMPEDE_DATA=str(data))), data))
        yield Shop(stack, (machines[0], machines[1]), **found)


_SEED = """
from shop.seeding import filling
from shop.models import Product, Variant
filling.seed(products=12, seed=1, now=now, kinds=3)
row, other = Product.objects.order_by("pk")[:2]
one = row.variants.first()
row.variants.exclude(pk=one.pk).update(price_cents=9_000_000)  # a product costs what the cheapest of it does
out = {"variant": one.pk, "product": row.pk, "title": row.title,
       "path": f"/shop/p/{row.slug}/", "others": f"/shop/p/{other.slug}/"}
"""


def test_a_price_changes_on_both_and_each_makes_the_page_once(shop: Shop) -> None:
    shop.all_have_looked()
    for machine in shop.machines:
        for path in (shop.path, shop.others, shop.path, shop.others):
            assert machine.site.get(path).status == 200
        until(lambda machine=machine: machine.finds(shop.title), "an index of its own")
    assert [machine.rendered() for machine in shop.machines] == [2, 2]

    shop.price(4_321_09)
    for machine in shop.machines:
        until(lambda machine=machine: machine.shows(shop.path, "4,321.09"), "the new price on the page")
        until(lambda machine=machine: machine.finds(shop.title)["price_cents"] == 4_321_09, "the new price in a search")
        until(lambda machine=machine: machine.rendered() == 3, "its rendering is counted, after it is shown")
    shop.all_have_looked()
    for machine in shop.machines:
        for path in (shop.path, shop.others):
            machine.site.get(path)
    assert [machine.rendered() for machine in shop.machines] == [3, 3]  # and not that of the other product


def test_what_nobody_tells_is_shown_on_neither(shop: Shop) -> None:
    """The control: it is the telling that brings a price to both, and not time."""
    shop.price(1_111_11)
    for machine in shop.machines:
        until(lambda machine=machine: machine.shows(shop.path, "1,111.11"), "the price that was told")
    change = "from shop.models import Product, Variant\n"
    change += "for kind, pk in ((Variant, v), (Product, p)): kind.objects.filter(pk=pk).update(price_cents=222_222)"
    shop.stack.python(change, v=shop.variant, p=shop.product)
    shop.all_have_looked()
    assert all(machine.shows(shop.path, "1,111.11") for machine in shop.machines for _ in range(2))


def test_a_machine_that_lost_its_pages_and_its_index_makes_its_own_again(shop: Shop) -> None:
    one, two = shop.machines
    shop.price(3_333_33)
    for machine in shop.machines:
        until(lambda machine=machine: machine.shows(shop.path, "3,333.33"), "the price")
        until(lambda machine=machine: machine.finds(shop.title)["price_cents"] == 3_333_33, "the price in a search")
    kept = one.files("pages")
    two.lose("pages")
    two.lose("search")
    assert not two.files("pages") | two.files("search")

    shop.price(5_555_55)
    for machine in shop.machines:
        until(lambda machine=machine: machine.shows(shop.path, "5,555.55"), "the new price on the page")
        until(lambda machine=machine: machine.finds(shop.title).get("price_cents") == 5_555_55, "and in a search")
    assert two.files("pages")
    assert two.files("search")
    assert kept <= one.files("pages")
    assert "search index built" in two.site.log().partition("search index built")[2]  # once more than at its start
    assert one.site.log().count("search index built") == 1

"""Data that moves: through the catalogue, told as it was, the same for the same seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from shop import moving
from shop.models import Change, Product
from shop.moving import Moved, Mover, NothingToMove

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.django_db


def shown(one: Moved) -> tuple[str, str, int, int, bool]:
    return one.kind, one.product, one.before_cents, one.price_cents, one.sold


def test_each_change_is_told_as_it_is_in_the_catalogue(catalogue_of_12: list[Product]) -> None:
    mover = Mover(seed=1)
    prices = {row.slug: row.price_cents for row in Product.objects.all()}
    for _ in range(200):
        Change.objects.all().delete()
        moved = mover.change()
        row = Product.objects.get(slug=moved.product)
        assert moved.before_cents == prices[moved.product]
        assert (moved.price_cents, moved.sold) == (row.price_cents, row.active)
        assert moved.began <= moved.done
        assert Change.objects.filter(tag=f"product:{row.pk}").exists(), "pages are told"
        prices[moved.product] = row.price_cents


def test_all_kinds_of_change_happen_and_products_come_back(catalogue_of_12: list[Product]) -> None:
    mover = Mover(seed=1)
    moved = [mover.change() for _ in range(300)]
    kinds = Counter(one.kind for one in moved)
    assert set(kinds) == set(moving.SHARES)
    assert kinds["price"] > kinds["stock"] > kinds["product"]
    assert Product.objects.filter(active=False).exists()
    assert all(one.sold for one in mover.bring_all_back())
    assert Product.objects.filter(active=True).count() == 12


def test_prices_stay_near_where_they_began(catalogue_of_12: list[Product]) -> None:
    first = {row.pk: row.price_cents for row in catalogue_of_12}
    mover = Mover(seed=2)
    for _ in range(300):
        mover.change()
    assert all(0.7 < row.price_cents / first[row.pk] < 1.3 for row in Product.objects.all())


def test_only_the_most_popular_change(catalogue_of_12: list[Product]) -> None:
    popular = set(Product.objects.order_by("-popularity").values_list("slug", flat=True)[:3])
    mover = Mover(seed=1, among=3)
    assert {mover.change().product for _ in range(60)} == popular


def test_an_empty_shop_has_nothing_to_move() -> None:
    with pytest.raises(NothingToMove, match="seed_shop"):
        Mover(seed=1)


def run(folder: Path, *arguments: str, target: str = "demo", **keep: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STAMPEDE_DATA": str(folder), "STAMPEDE_LOAD_TARGET": target}
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, **keep)  # type: ignore[call-overload, no-any-return]


def test_only_where_a_load_target_is_declared(tmp_path: Path) -> None:
    ended = run(tmp_path, "move_shop", target="")
    assert ended.returncode == 1
    assert "STAMPEDE_LOAD_TARGET must say that it may" in ended.stderr


@pytest.mark.process
def test_the_command_moves_a_shop_until_its_input_ends(tmp_path: Path) -> None:
    def moved() -> list[dict[str, object]]:
        assert run(tmp_path, "migrate", "-v0").returncode == 0
        assert run(tmp_path, "seed_shop", "--products", "5", "--without-pictures").returncode == 0
        ended = run(tmp_path, "move_shop", "--rate", "50", "--seconds", "1", "--seed", "4")
        assert (ended.returncode, ended.stderr) == (0, "")
        return [json.loads(line) for line in ended.stdout.splitlines()]

    lines = moved()
    assert 1 <= len(lines) <= 51
    assert {"kind", "product", "began", "done", "before_cents", "price_cents", "sold"} == lines[0].keys()
    ended = run(tmp_path, "move_shop", "--while-input", stdin=subprocess.DEVNULL)
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) <= 1

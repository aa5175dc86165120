"""How old a price was that a visitor saw."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.staleness import Sighting, Staleness, compare, measured


def change(done: float, before: int, after: int, *, kind: str = "price", sold: bool = True) -> dict[str, Any]:
    moment = {"began": done - 0.01, "done": done}
    return {"kind": kind, "product": "hat", **moment, "before_cents": before, "price_cents": after, "sold": sold}


MOVED = [change(100, 500, 600), change(110, 600, 700), change(120, 700, 500)]


def seen(price: int, at: float, product: str = "hat") -> Staleness:
    return compare(MOVED, [Sighting(product, price, at)])


def ages(found: Staleness) -> tuple[int, float | None]:
    return found.stale, found.ages.percentile_ms(50)


def test_what_is_true_is_not_old() -> None:
    assert ages(seen(600, 105)) == (0, 0.001)
    assert ages(seen(500, 125)) == (0, 0.001)  # the first price, which is true again


def test_what_was_true_is_as_old_as_the_change_that_ended_it() -> None:
    assert ages(seen(500, 102.5)) == (1, pytest.approx(2_500, rel=1e-3))
    assert ages(seen(600, 121)) == (1, pytest.approx(11_000, rel=1e-3))
    assert ages(seen(500, 119)) == (1, pytest.approx(19_000, rel=1e-3))


def test_while_a_change_is_being_committed_both_are_true() -> None:
    assert [ages(seen(price, 99.995))[0] for price in (500, 600)] == [0, 0]


def test_a_price_that_was_never_true_is_no_stale_one() -> None:
    for price, at in ((601, 105), (700, 105)):  # nobody's, and one that is still to come
        found = seen(price, at)
        assert (found.never_true, found.stale, found.ages.count) == (1, 0, 0)
        assert found.examples == [Sighting("hat", price, at)]


def test_what_nobody_changed_says_nothing() -> None:
    for sighting in (Sighting("hat", 500, 99), Sighting("coat", 1, 200)):
        found = compare(MOVED, [sighting])
        assert (found.sightings, found.of_changed, found.never_true) == (1, 0, 0)


def test_the_page_of_a_product_that_was_withdrawn_is_old() -> None:
    moved = [
        change(100, 500, 500, kind="product", sold=False),
        change(200, 500, 500, kind="product"),
        change(300, 500, 500, kind="stock"),
        {"kind": "failed", "why": "somebody else did", "done": 301.0},
    ]
    found = compare(moved, [Sighting("hat", 500, 104), Sighting("hat", 500, 204)])
    assert (found.stale, found.of_changed) == (1, 2)
    assert found.as_json()["ages_ms"]["max"] == pytest.approx(4_000, rel=1e-3)
    assert found.changes == {"product": 2, "stock": 1, "failed": 1}


def test_a_run_is_read_from_its_files(tmp_path: Path) -> None:
    assert measured(tmp_path) is None
    (tmp_path / "moved.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in MOVED) + '{"torn":')
    sighting = {"product": "hat", "price_cents": 500, "at": 101.0}
    (tmp_path / "sightings.jsonl").write_text(json.dumps(sighting) + "\n" + json.dumps(sighting)[:20])
    found = measured(tmp_path)
    assert found is not None
    assert (found["sightings"], found["stale"], found["changes"]) == (1, 1, {"price": 3})
    json.dumps(found, allow_nan=False)

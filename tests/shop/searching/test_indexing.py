"""The index follows the catalogue: what changes is taken in, by whichever process comes first, and nothing is lost."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from shop import catalogue, changes, figures, search
from shop.models import Category, Product, Variant
from shop.searching import index_folder, indexing
from shop.searching.index_follower import Follower


@pytest.fixture
def follower(monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    """One whose steps the test takes itself; it hears what this process' watch tells."""
    monkeypatch.setattr(changes.watch, "_listeners", [])
    changes.forget()
    follower = Follower()
    changes.listen(follower.hear)
    yield follower
    changes.forget()


def _found(text: str) -> list[str]:
    return [card.slug for card in search.find(text=text).cards]


def _told(*products: Product) -> None:
    changes.tell([changes.product(row.pk) for row in products])


def _follow(follower: Follower) -> None:
    changes.look_now()
    follower.step()


def test_a_change_is_found_after_the_next_step(indexed: dict[str, Product], follower: Follower) -> None:
    cup = indexed["cup"]
    Product.objects.filter(pk=cup.pk).update(title="Enamel Mug", price_cents=990)
    _told(cup)
    assert _found("mug") == []
    _follow(follower)
    assert _found("mug") == ["cup"]
    assert search.find(text="mug").cards[0].price_cents == 990
    assert _found("café") == []


def test_a_product_that_is_not_told_stays_as_it_was(indexed: dict[str, Product], follower: Follower) -> None:
    Product.objects.update(title="Enamel Mug")
    _told(indexed["cup"])
    _follow(follower)
    assert _found("mug") == ["cup"]


def test_withdrawn_is_gone_and_new_is_there(indexed: dict[str, Product], follower: Follower) -> None:
    Product.objects.filter(slug="cup").update(active=False)
    new = Product.objects.create(
        slug="new", category=indexed["lamp"].category, title="Candle", brand="x", description="", price_cents=500
    )
    _told(indexed["cup"], new)
    _follow(follower)
    assert _found("porcelain") == []
    assert _found("candle") == ["new"]
    assert not search.find(text="candle").cards[0].available


def test_sold_out_is_said_and_goes_behind_what_can_be_bought(indexed: dict[str, Product], follower: Follower) -> None:
    assert _found("lamp otto")[0] == "lamp2"
    Variant.objects.filter(product=indexed["lamp2"]).update(stock=0)
    _told(indexed["lamp2"])
    _follow(follower)
    cards = search.find(text="lamp otto").cards
    assert [(card.slug, card.available) for card in cards] == [("lamp", True), ("lamp2", False)]


def test_a_category_that_is_called_otherwise_is_so_in_all_its_products(
    indexed: dict[str, Product], follower: Follower
) -> None:
    category = indexed["lamp"].category
    Category.objects.filter(pk=category.pk).update(name="Illumination")
    changes.tell([changes.category(category.pk)])
    _follow(follower)
    assert search.find(text="illumination").categories == (("lighting", "Illumination", 2),)


def test_pages_are_told_once_the_index_shows_a_category_s_new_name(
    indexed: dict[str, Product], follower: Follower
) -> None:
    heard: list[tuple[bool, str]] = []

    def hear(tags: frozenset[str], discovered: float) -> None:
        found = search.find(text="lamp")
        heard.append((bool(found.tags & tags), found.categories[0][1]))

    changes.listen(hear)
    catalogue.rename_category(category_id=indexed["lamp"].category_id, name="Illumination")
    _follow(follower)
    assert heard == [(False, "Lighting"), (True, "Illumination")]


def test_a_category_that_is_told_for_another_reason_reads_no_product(
    indexed: dict[str, Product], follower: Follower
) -> None:
    changes.tell([changes.category(indexed["lamp"].category_id)])
    changes.look_now()
    with CaptureQueriesContext(connection) as seen:
        follower.step()
    assert not [one for one in seen.captured_queries if "shop_product" in one["sql"].replace("shop_product:", "")]


def test_pages_are_told_once_the_index_shows_the_change(
    indexed: dict[str, Product], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup = indexed["cup"]
    heard: list[tuple[frozenset[str], list[str]]] = []
    changes.listen(lambda tags, discovered: heard.append((tags, _found("mug"))))
    Product.objects.filter(pk=cup.pk).update(title="Mug")
    _told(cup)
    _follow(follower)
    tag = search.found_tag(cup.pk)
    # Its own tag comes before the index has it: a page made anew then would be old again.
    assert heard == [({changes.product(cup.pk)}, []), ({tag}, ["cup"])]
    assert tag in search.find(text="mug").tags


def test_what_another_process_took_in_is_told_here_too(indexed: dict[str, Product], follower: Follower) -> None:
    Product.objects.filter(pk=indexed["cup"].pk).update(title="Mug")
    _told(indexed["cup"])
    heard: list[frozenset[str]] = []
    changes.listen(lambda tags, discovered: heard.append(tags))
    changes.look_now()
    assert indexing.refresh([indexed["cup"].pk]) == 1  # the other
    before = index_folder.reader.searcher()
    follower.step()
    assert heard[-1] == {search.found_tag(indexed["cup"].pk)}
    assert index_folder.reader.searcher() is before  # nothing was written a second time


def test_what_failed_is_tried_again(
    indexed: dict[str, Product], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    Product.objects.filter(pk=indexed["cup"].pk).update(title="Mug")
    _told(indexed["cup"])
    changes.look_now()

    def fail(ids: object) -> int:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(indexing, "refresh", fail)
        with pytest.raises(OSError, match="full"):
            follower.step()
    assert _found("mug") == []
    follower.step()
    assert _found("mug") == ["cup"]


def test_a_process_that_begins_does_not_look_again_at_what_is_in_the_index(
    indexed: dict[str, Product], follower: Follower
) -> None:
    """It is told all of the last hour, which may be a hundred thousand products."""
    from shop.models import Change

    _told(*indexed.values())
    Change.objects.update(at=timezone.now() - timedelta(minutes=30))
    _told(indexed["cup"])
    looked_at: list[set[int]] = []
    real = indexing.refresh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "refresh", lambda ids: looked_at.append(set(ids)) or real(ids))
        _follow(follower)
    assert looked_at == [{indexed["cup"].pk}]


@pytest.mark.parametrize("damage", ["gone", "too old", "unreadable"])
def test_an_index_that_cannot_be_followed_is_built_anew(
    shop: dict[str, Product], follower: Follower, damage: str
) -> None:
    indexing.rebuild()
    assert indexing.ensure() is None
    folder = Path(os.path.realpath(index_folder._link()))
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "too old":
        index_folder.set_as_of(timezone.now() - timedelta(seconds=changes.KEPT_SECONDS))
    else:
        (folder / "meta.json").write_text("{")
    follower.step()
    assert Path(os.path.realpath(index_folder._link())) != folder
    assert _found("porcelain") == ["cup"]


def test_building_anew_never_leaves_a_moment_without_an_index(indexed: dict[str, Product]) -> None:
    stop, missing = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                found = search.find(text="porcelain").total
            except search.NotReady:
                found = 0
            if found != 1:
                missing.append(found)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(5):
        indexing.rebuild()
    stop.set()
    asking.join()
    assert missing == []
    assert len(list(index_folder._home().glob("v*-*"))) == 2  # this one, and the one before


def test_a_build_that_fails_leaves_the_old_index(indexed: dict[str, Product], monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(index_folder._home().iterdir())

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(index_folder, "add", fail)
    with pytest.raises(OSError, match="full"):
        indexing.rebuild()
    assert _found("porcelain") == ["cup"]
    assert sorted(index_folder._home().iterdir()) == before


def test_what_nobody_told_is_found_by_looking_for_strays(indexed: dict[str, Product], follower: Follower) -> None:
    Product.objects.filter(slug="cup").update(active=False)
    Product.objects.filter(slug="boot").update(active=True)
    follower.look_for_strays()
    assert _found("porcelain") == []


def test_what_was_told_too_late_is_found_by_comparing_some_products_each_minute(
    indexed: dict[str, Product], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time here: the third minute reaches the last ones, the fourth begins at the first again."""
    monkeypatch.setattr(indexing, "_AT_ONCE", 2)
    Product.objects.update(title="Mug")
    for found in (2, 4, 6):
        follower.look_for_strays()
        assert search.find(text="mug").total == found
    Product.objects.filter(slug="runner").update(title="Shoe")
    with CaptureQueriesContext(connection) as seen:
        follower.look_for_strays()  # the number of products was a multiple, so this one finds the end
        follower.look_for_strays()
    assert search.find(text="mug").total == 5
    assert len(seen) <= 12


def test_how_well_a_product_sells_is_taken_in_though_nobody_tells(
    indexed: dict[str, Product], follower: Follower
) -> None:
    assert _found("lamp otto") == ["lamp2", "lamp"]
    Product.objects.filter(slug="lamp").update(popularity=50_000)
    Product.objects.filter(slug="lamp2").update(popularity=0)
    follower.look_for_strays()
    assert _found("lamp otto") == ["lamp", "lamp2"]


def test_the_metrics_tell_how_much_is_found_and_how_old_it_is(shop: dict[str, Product]) -> None:
    assert [value for _, _, value in figures._read_index()] == [0, 0]
    begun = time.time()
    indexing.rebuild()
    (number, as_of) = [value for _, _, value in figures._read_index()]
    assert number == 6
    assert begun <= as_of <= time.time()


def test_the_command_builds_it(shop: dict[str, Product], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("index_shop")
    assert capsys.readouterr().out.startswith("6 products in ")
    assert _found("porcelain") == ["cup"]


def _rivals(work: Callable[[], object], number: int = 4) -> list[BaseException]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (told to the test)
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def test_writers_take_turns(indexed: dict[str, Product], monkeypatch: pytest.MonkeyPatch) -> None:
    entries = indexing.entries([row.pk for row in indexed.values()])
    gone = set(entries)

    def write() -> None:
        for _ in range(5):
            with index_folder.alone():
                index_folder.take_in({}, gone)
            with index_folder.alone():
                index_folder.take_in(entries, set())

    assert _rivals(write) == []
    assert index_folder.size() == 6
    from contextlib import nullcontext

    monkeypatch.setattr(index_folder, "alone", nullcontext)
    assert _rivals(write) != []  # the engine itself refuses a second writer, loudly


DIES = """
import fcntl, os, sys, tantivy
lock = open(sys.argv[1] + "/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
writer = tantivy.Index.open(sys.argv[1] + "/v1").writer(15_000_000, num_threads=1)
writer.delete_all_documents()
print("writing", flush=True)
sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_the_index_as_it_was_and_holds_up_nobody(indexed: dict[str, Product]) -> None:
    home = str(index_folder._home())
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", DIES, home], text=True, **pipes) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        with open(f"{home}/lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it would be waited for
        writer.kill()
    Product.objects.filter(slug="cup").update(title="Mug")
    assert indexing.refresh([indexed["cup"].pk]) == 1
    assert _found("mug") == ["cup"]
    assert index_folder.size() == 6

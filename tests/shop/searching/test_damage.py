"""A damaged index: whoever searches is told to come again, nobody's thread ends, and the index is built anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from shop import changes, page_cache, search
from shop.caching.making import RENEWERS, Renewers
from shop.models import Product
from shop.searching import index_faults, index_folder, indexing
from shop.searching.index_follower import Follower
from shop.seeding import filling
from tests.deadline import until
from tests.shop.searching import damage


@pytest.fixture
def folder(db: None) -> Iterator[Path]:
    """Of the index of a shop that is large enough for damage to be met."""
    filling.seed(products=60, seed=1, now=timezone.now())
    indexing.rebuild()
    indexing.ensure()
    page_cache.forget()
    changes.look_now()
    yield Path(os.path.realpath(index_folder._link()))
    page_cache.forget()


def _asked(text: str) -> int:
    return Client(raise_request_exception=False).get("/api/search", {"q": text}).status_code


def test_a_damaged_file_makes_nobody_fail_and_is_written_anew(folder: Path) -> None:
    follower, whole, answers = Follower(), search.find(text="cotton").total, set()
    for harm, kind in product((damage.zero, damage.cut), damage.KINDS):
        harm(folder, kind)
        index_folder.reader.forget()
        answers |= {_asked(text) for text in ("cotton", "coton shirt", "warm leather bag")}
        index_faults.doubt.cast()  # what a failed search does; not each search meets each damage
        follower.step()
        damaged, folder = folder, Path(os.path.realpath(index_folder._link()))
        page_cache.forget()
        assert (folder != damaged, search.find(text="cotton").total) == (True, whole), (harm, kind)
        assert indexing.ensure() is None  # it is taken for whole
    assert answers == {200, 503}


def test_a_panic_of_the_engine_is_an_answer_and_wakes_who_mends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower()
    woken: list[int] = []
    monkeypatch.setattr(index_faults.doubt, "_listeners", [lambda: woken.append(1)])
    damage.zero(folder, "idx")
    index_folder.reader.forget()
    assert _asked("cotton") == 503
    assert woken
    follower.step()
    assert _asked("cotton") == 200


def test_without_the_guard_a_panic_is_no_exception(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage.zero(folder, "idx")
    index_folder.reader.forget()
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (its class has no name to import)
        search._find.__wrapped__(["cotton"], "", None, None, 1)  # type: ignore[attr-defined]
    assert not isinstance(raised.value, Exception)
    assert index_faults.is_panic(raised.value)


def test_a_change_that_meets_damage_is_not_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower()
    row = Product.objects.order_by("pk")[0]
    Product.objects.filter(pk=row.pk).update(title="Zeppelin")
    changes.tell([changes.product(row.pk)])
    follower.hear(frozenset({changes.product(row.pk)}), 0.0)
    damage.zero(folder, "store")
    damage.zero(folder, "idx")
    index_folder.reader.forget()
    with monkeypatch.context() as patch:
        patch.setattr(indexing, "ensure", lambda: None)  # no doubt yet, whoever else searched meanwhile
        with pytest.raises(search.NotReady):
            follower.step()
    follower.step()
    assert search.find(text="zeppelin").total == 1


def test_a_whole_index_is_doubted_and_kept(folder: Path) -> None:
    index_faults.doubt.cast()
    assert indexing.ensure() is None
    assert Path(os.path.realpath(index_folder._link())) == folder


class Panic(BaseException):
    """As the engine's own."""


def test_the_threads_that_renew_pages_outlive_what_is_no_exception() -> None:
    def panic() -> None:
        raise Panic("index out of bounds")

    renewers, went_on = Renewers(), threading.Event()
    for number in range(RENEWERS):
        renewers.ask(f"bad {number}", panic)
    renewers.ask("good", went_on.set)
    until(went_on.is_set, "the renewal after those that failed")
    until(renewers.idle, "no renewal is thought to be under way")


def test_the_thread_that_follows_outlives_what_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    follower, steps, went_on = Follower(), iter([Panic("index out of bounds")]), threading.Event()

    def step() -> None:
        for error in steps:
            raise error
        went_on.set()

    monkeypatch.setattr("shop.searching.index_follower.RETRY_SECONDS", 0.0)
    monkeypatch.setattr("shop.searching.index_follower.IDLE_SECONDS", 1e6)
    monkeypatch.setattr(follower, "step", step)
    monkeypatch.setattr(changes.watch, "_listeners", [])
    monkeypatch.setattr(index_faults.doubt, "_listeners", [])
    follower.start()
    until(went_on.is_set, "the step after the failed one")

"""An object is found while it is true, used a little longer while one makes it anew, and never beyond a change."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from prometheus_client import REGISTRY

from config import database
from shop import changes, object_cache
from tests.deadline import until
from tests.herd import herd
from tests.shop.caching.conftest import waiting

pytestmark = pytest.mark.django_db
TAGS = frozenset({"category:3"})


@pytest.fixture(autouse=True)
def _hears() -> None:
    changes.look_now()


class Source:
    def __init__(self) -> None:
        self.value, self.made = "first", 0

    def make(self) -> dict[str, Any]:
        self.made += 1
        return {"menu": [self.value]}

    def get(self, *, seconds: float = 60) -> str:
        return str(object_cache.get("menu:all", tags=TAGS, seconds=seconds, make=self.make)["menu"][0])


def reads(result: str) -> float:
    return REGISTRY.get_sample_value("stampede_object_cache_reads_total", {"name": "menu", "result": result}) or 0.0


def ages(upper: str = "+Inf") -> float:
    """How many of the objects that were used were of this age in seconds, or younger."""
    labels = {"name": "menu", "le": upper}
    return REGISTRY.get_sample_value("stampede_object_cache_age_seconds_bucket", labels) or 0.0


def test_it_is_made_once_and_counted() -> None:
    source, hits, misses, seen = Source(), reads("hit"), reads("miss"), ages()
    assert [source.get() for _ in range(3)] == ["first"] * 3
    assert (source.made, reads("hit") - hits, reads("miss") - misses) == (1, 2, 1)
    assert ages() - seen == 2  # what was just made has none


def test_its_age_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source, now, young, all_ages = Source(), time.time(), ages("60.0"), ages("300.0")
    source.get(seconds=600)
    monkeypatch.setattr(time, "time", lambda: now + 200)
    source.get(seconds=600)
    assert (ages("60.0") - young, ages("300.0") - all_ages) == (0, 1)


def test_after_a_change_the_old_one_is_not_found_and_after_another_one_it_stays() -> None:
    source = Source()
    source.get()
    source.value = "second"
    changes.tell(["product:1"])
    changes.look_now()
    assert source.get() == "first"
    changes.tell(TAGS)
    assert source.get() == "first"  # nobody has looked
    changes.look_now()
    assert source.get() == "second"


def test_an_old_one_is_used_while_one_makes_it_anew() -> None:
    source = Source()
    source.get()
    source.value = "second"
    making, go_on, make = threading.Event(), threading.Event(), source.make

    def slowly() -> dict[str, Any]:
        making.set()
        assert go_on.wait(20)
        return make()

    source.make = slowly  # type: ignore[method-assign]
    renewing = threading.Thread(target=source.get, kwargs={"seconds": 0})
    renewing.start()
    assert making.wait(20)
    stale = reads("stale")
    assert [source.get(seconds=0) for _ in range(5)] == ["first"] * 5
    assert reads("stale") == stale + 5
    go_on.set()
    renewing.join(20)
    assert (source.get(), source.made) == ("second", 2)


def test_a_herd_makes_it_once_a_process() -> None:
    source, go_on, make = Source(), threading.Event(), None
    make = source.make

    def slowly() -> dict[str, Any]:
        assert go_on.wait(20)
        return make()

    source.make = slowly  # type: ignore[method-assign]
    together = object_cache._together
    letting_go = threading.Thread(
        target=lambda: (until(lambda: waiting(together) == 19, "the herd is there", seconds=20), go_on.set())
    )
    letting_go.start()
    assert herd(20, source.get) == ["first"] * 20
    letting_go.join()
    assert source.made == 1


def test_what_fails_is_not_kept_and_locks_nobody_out() -> None:
    def fail() -> None:
        raise OperationalError(2002, "away")

    with pytest.raises(OperationalError):
        object_cache.get("menu:all", tags=TAGS, seconds=60, make=fail)
    assert Source().get() == "first"


def test_who_does_not_hear_of_changes_makes_it_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source()
    source.get()
    monkeypatch.setattr(changes.watch, "looked_at", None)
    source.value = "second"
    assert source.get() == "second"


def test_nor_does_one_whose_watch_is_behind_use_what_was_true(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source()
    source.get()
    monkeypatch.setattr(changes.watch, "heard_until", time.monotonic() - changes.BEHIND_SECONDS - 1)
    source.value = "second"
    assert source.get() == "second"


def test_without_a_cache_everybody_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in (("get", None), ("add", False), ("set", None), ("delete", False)):
        monkeypatch.setattr(cache, name, lambda *args, answer=answer, **kwargs: answer)
    source = Source()
    assert [source.get(), source.get()] == ["first"] * 2
    assert source.made == 2


def test_while_the_primary_is_away_nothing_of_a_replica_is_kept(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.REPLICAS = ["replica1"]
    monkeypatch.setattr(database.watch, "is_gone", lambda alias: True)
    source = Source()
    assert [source.get(), source.get()] == ["first"] * 2
    assert source.made == 2

from __future__ import annotations

import time

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from pytest_django import Settings

from config import marks

WROTE = "entrant:5"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> BaseCache:
    """A cache that has been holding marks for long."""
    monkeypatch.setattr(marks, "_one_was_lost", False)
    cache = caches["marks"]
    cache.clear()
    since(cache, seconds_ago=3600)
    return cache


def since(cache: BaseCache, *, seconds_ago: float) -> None:
    cache.set(marks._SINCE, time.time() - seconds_ago, timeout=None)


def test_whoever_is_marked_must_be_shown_the_write(cache: BaseCache) -> None:
    cache.set(marks._key(WROTE), "0-1-77", timeout=60)
    assert marks.of({WROTE}) == [{0: 77}]
    assert marks.of({"entrant:6"}) == []
    assert marks.of({"entrant:6", WROTE}) == [{0: 77}]


def test_nobody_is_nobody_and_the_cache_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseCache, "get_many", None)
    assert marks.of(()) == []


def test_after_the_cache_was_emptied_nobody_is_trusted_until_replicas_must_have_caught_up(cache: BaseCache) -> None:
    cache.clear()
    assert marks.of({WROTE}) is None
    assert marks.of({WROTE}) is None, "the cache is known to hold marks since a moment ago, which is not long enough"
    since(cache, seconds_ago=marks._SETTLED_SECONDS + 1)
    assert marks.of({WROTE}) == []


def test_a_cache_that_does_not_answer_leaves_everybody_unknown(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(cache), "get_many", unavailable)
    assert marks.of({WROTE}) is None


def test_a_mark_that_was_lost_makes_all_marks_worthless_for_a_while(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(type(cache), "set_many", unavailable)
        marks._mark((WROTE,))
    assert marks.of({WROTE}) is None
    since(cache, seconds_ago=marks._SETTLED_SECONDS + 1)
    assert marks.of({WROTE}) == []


def test_without_replicas_nobody_is_marked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REPLICAS = []
    monkeypatch.setattr(marks, "_mark", unavailable)
    marks.wrote(WROTE)


def unavailable(*args: object, **kwargs: object) -> None:
    raise ConnectionError("the cache does not answer")


def test_what_opens_something_is_not_written_down() -> None:
    assert "secret" not in marks._key("invitation:secret")
    assert marks._key("invitation:a") != marks._key("invitation:b")

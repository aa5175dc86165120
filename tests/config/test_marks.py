from __future__ import annotations

import time

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from pytest_django import Settings

from config import database, marks

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


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the connection says it wrote last (the first of these): only MariaDB knows a position."""
    last = ["0-1-77"]
    monkeypatch.setattr(marks, "_last_write", lambda: last[0])
    return last


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Positions that were waited for, in vain."""
    for_these: list[str] = []

    def wait(gtids: str, *, seconds: float) -> bool:
        assert 0 < seconds <= max(2, marks.settings.REPLICA_MAX_LAG)
        for_these.append(gtids)
        return False

    monkeypatch.setattr(database.watch, "wait_until_held", wait)
    return for_these


def test_a_mark_that_was_lost_makes_all_marks_worthless_for_a_while(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch, written: list[str], waited: list[str]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(type(cache), "set_many", unavailable)
        marks._mark((WROTE,))
    assert marks.of({WROTE}) is None
    since(cache, seconds_ago=marks._SETTLED_SECONDS + 1)
    assert marks.of({WROTE}) == []


def test_a_position_that_cannot_be_learned_makes_all_marks_worthless_to_all_processes(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch, waited: list[str]
) -> None:
    monkeypatch.setattr(marks, "_last_write", unavailable)
    marks._mark((WROTE,))
    assert time.time() - cache.get(marks._SINCE) < 60, "what the others read, without this process's own knowledge"
    assert waited == []


def test_a_mark_that_one_process_cannot_write_is_never_read_past_by_another(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch, written: list[str], waited: list[str]
) -> None:
    """The first try fails as in a process whose breaker is open; the cache itself is well, and the others read it."""
    refused = once_unavailable(cache, monkeypatch)
    marks._mark((WROTE,))
    assert (refused, waited) == (["refused"], ["0-1-77"])
    assert cache.get(marks._key(WROTE)) == "0-1-77"
    assert time.time() - cache.get(marks._SINCE) < 60


def once_unavailable(cache: BaseCache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    refused: list[str] = []
    usual = type(cache).get_many

    def get_many(self: BaseCache, keys: list[str], version: int | None = None) -> dict[str, str]:
        if not refused:
            refused.append("refused")
            unavailable()
        return usual(self, keys, version)

    monkeypatch.setattr(type(cache), "get_many", get_many)
    return refused


def test_what_every_replica_holds_needs_no_mark(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch, written: list[str]
) -> None:
    monkeypatch.setattr(database.watch, "wait_until_held", lambda gtids, seconds: gtids == "0-1-77")
    once_unavailable(cache, monkeypatch)
    marks._mark((WROTE,))
    assert cache.get(marks._key(WROTE)) is None


def test_many_that_cannot_be_marked_are_warned_of_once(
    cache: BaseCache,
    monkeypatch: pytest.MonkeyPatch,
    written: list[str],
    waited: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warnings() -> list[str]:
        return [record.message for record in caplog.records if record.levelname == "WARNING"]

    with monkeypatch.context() as broken:
        for call in ("get_many", "set_many", "set"):
            broken.setattr(type(cache), call, unavailable)
        for _ in range(5):
            marks._mark((WROTE,))
    assert len(warnings()) == 1
    assert len(waited) == 5
    marks._mark((WROTE,))
    assert warnings()[1:] == ["writers are marked again"]


def test_a_mark_never_goes_back(cache: BaseCache, written: list[str]) -> None:
    """An operator's request that writes nothing is marked with what its connection wrote last, if anything."""
    for last, marked in (("0-1-77", 77), ("0-1-70", 77), ("", 77), ("0-1-78", 78)):
        written[0] = last
        marks._mark((WROTE,))
        assert marks.of({WROTE}) == [{0: marked}], last
    written[0] = ""
    marks._mark(("entrant:6",))
    assert marks.of({"entrant:6"}) == []


def test_without_replicas_nobody_is_marked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REPLICAS = []
    monkeypatch.setattr(marks, "_mark", unavailable)
    marks.wrote(WROTE)


def unavailable(*args: object, **kwargs: object) -> None:
    raise ConnectionError("the cache does not answer")


def test_what_opens_something_is_not_written_down() -> None:
    assert "secret" not in marks._key("invitation:secret")
    assert marks._key("invitation:a") != marks._key("invitation:b")

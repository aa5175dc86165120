"""One contract for the cache on files and on a real Redis; what happens when that Redis is killed, empty or silent."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache as default
from django.core.cache import caches
from django.utils import timezone
from pytest_django import Settings

from config import cache_settings, throttle
from config.cache import remembered
from config.redis_cache import UNAVAILABLE, LeftAlone
from tests.contracts.redis_server import RedisServer
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["files", "redis"])
def cache(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Any:
    if request.param == "redis":
        request.getfixturevalue("on_redis")
    else:
        settings.CACHES = cache_settings.on_files(tmp_path)
    return default


# --- the contract -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [0, 7, -1, 2.5, "", "7", "żółć 🎟", True, None, [1, "a"], {"n": {"é": [1.5, None]}}])
def test_what_is_stored_comes_back_as_it_was(cache: Any, value: object) -> None:
    missing = object()
    assert cache.get("Ключ", missing) is missing
    cache.set("Ключ", value)
    found = cache.get("Ключ", missing)
    assert found == value
    assert type(found) is type(value)


def test_add_stores_only_what_is_not_there(cache: Any) -> None:
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    assert cache.get("k") == 1


def test_a_counter_counts_and_a_missing_one_is_said(cache: Any) -> None:
    with pytest.raises(ValueError, match="k"):
        cache.incr("k")
    cache.set("k", 5)
    assert (cache.incr("k"), cache.incr("k", 10), cache.decr("k")) == (6, 16, 15)


def test_counting_does_not_prolong_a_life(on_redis: RedisServer) -> None:
    """Redis only: a file's new count lives for the default time, and is looked for by nobody then."""
    default.add("k", 0, timeout=2)
    default.incr("k")
    until(lambda: default.get("k") is None, "the counter expires", seconds=10)


def test_what_is_deleted_or_over_is_gone(cache: Any) -> None:
    cache.set("k", 1)
    assert cache.delete("k") is True
    assert cache.delete("k") is False
    cache.set("k", 1, timeout=0)
    assert cache.get("k") is None
    cache.set("k", 1, timeout=2)
    assert "k" in cache
    until(lambda: "k" not in cache, "the entry expires", seconds=10)
    assert cache.touch("k") is False


def test_many_at_once(cache: Any) -> None:
    assert cache.set_many({"a": 1, "ż": "2"}) in ([], None)
    assert cache.get_many(["a", "ż", "missing"]) == {"a": 1, "ż": "2"}
    cache.delete_many(["a", "missing"])
    assert cache.get_many(["a", "ż"]) == {"ż": "2"}
    cache.clear()
    assert cache.get("ż") is None


def test_marks_lie_apart(cache: Any) -> None:
    caches["marks"].set("k", "mark", timeout=60)
    assert cache.get("k") is None
    assert caches["marks"].get("k") == "mark"


# --- counting exactly -------------------------------------------------------------------------------------------------
_HITS = """
import sys, threading, django
from datetime import UTC, datetime
django.setup()
from config import throttle
now = datetime(2026, 11, 21, tzinfo=UTC)
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
allowed = []
def hit():
    for _ in range(10):
        allowed.append(throttle.hit("crowd", limit=120, now=now) == 0)
threads = [threading.Thread(target=hit) for _ in range(5)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sum(allowed))
"""


def test_two_hundred_hits_from_four_processes_are_counted_exactly(on_redis: RedisServer, tmp_path: Path) -> None:
    variables = {"STAMPEDE_REDIS_URL": on_redis.url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment = {**os.environ, **variables, "STAMPEDE_DATA": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", _HITS]
    crowd: list[Any] = [subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    try:
        assert [one.stdout.readline() for one in crowd] == ["ready\n"] * 4
        assert sum(int(one.communicate("go\n", timeout=60)[0]) for one in crowd) == 120
    finally:
        for one in crowd:
            one.kill()
            one.wait()
    (name,) = list(default.iter_keys("throttle:*"))  # type: ignore[attr-defined]
    assert default.get(name) == 200


@pytest.mark.parametrize(("count", "counted"), [("incr", 20), ("get then set", 1)])
def test_a_counter_that_reads_before_it_writes_would_lose_hits(on_redis: RedisServer, count: str, counted: int) -> None:
    """The negative control: all read before anybody writes."""
    default.set("k", 0)
    together = threading.Barrier(20)

    def hit() -> None:
        if count == "incr":
            together.wait()
            default.incr("k")
        else:
            known = default.get("k")
            together.wait()
            default.set("k", known + 1)

    at_once(20, hit)
    assert default.get("k") == counted


def at_once(count: int, step: Callable[[], None]) -> None:
    threads = [threading.Thread(target=step) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- bad days ---------------------------------------------------------------------------------------------------------
def test_a_killed_redis_is_missed_by_nobody_and_used_again_when_it_is_back(
    on_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    default.set("k", 1)
    on_redis.kill()
    with caplog.at_level(logging.WARNING, "config.redis_cache"):
        for _ in range(50):
            assert default.get("k", "missing") == "missing"
            assert default.set("k", 2) is None
            assert default.add("k", 2) is False
            assert default.delete("k") is False
            assert default.get_many(["k"]) == {}
            assert "k" not in default
            with pytest.raises(ValueError, match="not answer"):
                default.incr("k")
        assert [record.getMessage() for record in caplog.records] == [
            "Redis does not answer (ConnectionError); going on without it, right and slower"
        ]
        on_redis.start()
        until(lambda: default.set("k", 3), "the cache is used again", seconds=10)
    assert default.get("k") == 3
    assert caplog.records[-1].getMessage() == "Redis answers again"
    assert len(caplog.records) == 2


def test_marks_say_that_redis_is_gone(on_redis: RedisServer) -> None:
    caches["marks"].set("k", 1)
    on_redis.kill()
    for _ in range(2):  # asked and refused, then left alone: both are said
        with pytest.raises(UNAVAILABLE):
            caches["marks"].get("k")


def test_a_silent_redis_costs_one_time_out_and_not_one_a_call(on_redis: RedisServer) -> None:
    default.set("k", 1)
    on_redis.freeze()
    began = time.monotonic()
    for _ in range(200):
        default.get("k")
    assert cache_settings.ANSWER_SECONDS <= time.monotonic() - began < 2 * cache_settings.ANSWER_SECONDS
    on_redis.thaw()
    assert until(lambda: default.get("k"), "the cache is used again", seconds=10) == 1


def test_who_insists_asks_a_redis_that_has_just_failed(on_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.redis_cache.REST_SECONDS", 60)
    on_redis.freeze()
    with pytest.raises(UNAVAILABLE):
        caches["marks"].set("k", 1)
    on_redis.thaw()
    with pytest.raises(LeftAlone):
        caches["marks"].set("k", 2)
    with caches["marks"].insisting():  # type: ignore[attr-defined]
        caches["marks"].set_many({"k": 3})
    assert caches["marks"].get("k") == 3, "it has answered, so everybody asks it again"


def test_a_full_redis_keeps_what_has_no_end_and_then_refuses(on_redis: RedisServer) -> None:
    """With the policy of the stacks: what ends goes first, the moment since when marks are held never."""
    client = caches["marks"].client.get_client()  # type: ignore[attr-defined]
    client.config_set("maxmemory-policy", "volatile-ttl")
    caches["marks"].set("since", 1, timeout=None)
    caches["marks"].set("mark", 1, timeout=60)
    client.config_set("maxmemory", "1")
    with pytest.raises(UNAVAILABLE):
        caches["marks"].set("more", 1, timeout=60)
    with caches["marks"].insisting():  # type: ignore[attr-defined]
        client.config_set("maxmemory", "0")
        assert caches["marks"].get("since") == 1
        assert caches["marks"].get("mark") is None


def test_without_the_breaker_each_call_would_cost_the_time_out(
    on_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test before."""
    monkeypatch.setattr("config.redis_cache.REST_SECONDS", 0)
    on_redis.freeze()
    began = time.monotonic()
    for _ in range(4):
        default.get("k")
    assert time.monotonic() - began >= 4 * cache_settings.ANSWER_SECONDS


def test_a_restart_between_two_calls_is_not_noticed(on_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """The kept connections are dead then, and Redis is well."""
    default.set("k", 1)
    on_redis.kill()
    on_redis.start()
    default.set("k", 2)
    assert default.get("k") == 2
    assert caplog.records == []


def test_without_redis_a_limit_still_holds_in_each_process(on_redis: RedisServer) -> None:
    on_redis.kill()
    now = timezone.now()
    waits = [throttle.hit("alone", limit=3, now=now) for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert min(waits[3:]) > 0


# --- a value that many want -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("lock_seconds", "made_again"), [(10, 1), (None, 8)])
def test_an_old_value_is_made_anew_by_one_and_the_others_take_the_old_one(
    on_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, lock_seconds: int | None, made_again: int
) -> None:
    """Without the lock, the negative control, all eight make it."""
    if lock_seconds is None:
        monkeypatch.setattr(type(default._connections[default._alias]), "add", lambda *_, **__: True)  # type: ignore[attr-defined]
    remembered("v", seconds=60, make=lambda: "old")
    together, made, got = threading.Barrier(8), [], []
    all_have_looked = threading.Event()

    def make() -> str:
        made.append(1)
        all_have_looked.wait(5)
        return "new"

    def ask() -> None:
        together.wait()
        got.append(remembered("v", seconds=0, make=make))
        if len(got) == 8 - made_again:
            all_have_looked.set()

    if made_again == 8:
        all_have_looked.set()
    at_once(8, ask)
    assert len(made) == made_again
    assert sorted(got) == ["new"] * made_again + ["old"] * (8 - made_again)
    assert default.get("v")[1] == "new"


def test_without_redis_everybody_makes_it(on_redis: RedisServer) -> None:
    on_redis.kill()
    assert [remembered("v", seconds=60, make=iter([made]).__next__) for made in (1, 2)] == [1, 2]

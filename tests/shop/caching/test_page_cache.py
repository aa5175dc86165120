"""A page is made once for however many who ask, and shown no longer than it is true."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import Http404

from config import database
from shop import changes, page_cache
from shop.caching import making
from shop.caching.freshness import freshness
from shop.caching.kept_pages import Pages, pages
from tests.deadline import until
from tests.herd import herd
from tests.shop.caching.conftest import HIT, MISS, STALE, Shown, waiting

NAME = "/shop/p/x/"


def told(tag: str = "product:1") -> None:
    """As the watch does it, without a database."""
    changes.pass_on(frozenset({tag}))


def another() -> Pages:
    """What another process of this machine sees. Its folder is the same one: who works on the shop's files while the
    tests run has begun another release."""
    other = Pages()
    other.folder = pages.folder
    return other


def renewed() -> None:
    until(page_cache.renewers.idle, "the renewal", seconds=20)


def held_herd(size: int, shown: Shown, held: Callable[[], bool]) -> list[object]:
    """What a herd gets whose renderings are held until all of it is there."""
    shown.hold()
    letting_go = threading.Thread(target=lambda: (until(held, "the herd is there", seconds=20), shown.let_go.set()))
    letting_go.start()
    try:
        return herd(size, shown.ask)
    finally:
        letting_go.join()


def test_a_herd_on_a_cold_page_makes_it_once(shown: Shown) -> None:
    assert held_herd(30, shown, lambda: waiting(page_cache._together) == 29) == [("first", MISS)] * 30
    assert shown.made == 1
    assert shown.ask() == ("first", HIT)


def test_without_the_rendering_in_common_and_the_lock_each_of_the_herd_makes_it(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_together", type("Alone", (), {"make": lambda self, name, make: make()})())
    monkeypatch.setattr(making.fcntl, "flock", lambda *args: None)
    held_herd(30, shown, lambda: shown.made == 30)


def test_after_a_change_the_herd_is_answered_at_once_while_one_renews(shown: Shown) -> None:
    shown.ask()
    shown.text = "second"
    shown.hold()
    told()
    assert herd(30, shown.ask) == [("first", STALE)] * 30  # nobody waits: the renewal is held
    shown.let_go.set()
    renewed()
    assert shown.made == 2
    assert herd(30, shown.ask) == [("second", HIT)] * 30
    assert shown.made == 2


def test_a_change_during_the_rendering_makes_it_old_at_once(shown: Shown) -> None:
    """What was read before the change must not be kept as if it were read after it."""
    shown.hold()
    asking = threading.Thread(target=shown.ask)
    asking.start()
    until(lambda: shown.made == 1, "the rendering has read", seconds=10)
    shown.text = "second"
    told()
    shown.let_go.set()
    asking.join(20)
    assert shown.ask() == ("first", STALE)
    renewed()
    assert shown.ask() == ("second", HIT)


def test_what_shows_something_else_stays(shown: Shown) -> None:
    shown.ask()
    told("product:2")
    assert shown.ask() == ("first", HIT)
    assert shown.made == 1


def test_a_page_is_made_anew_when_it_is_old_and_waited_for_when_it_is_very_old(shown: Shown) -> None:
    shown.ask()
    shown.text = "second"
    shown.policy = replace(shown.policy, page=0)
    shown.hold()
    assert shown.ask() == ("first", STALE)
    shown.let_go.set()
    renewed()
    shown.text, shown.policy = "third", replace(shown.policy, page=0, stale=0)
    assert shown.ask() == ("third", MISS)


def test_while_the_database_is_away_the_old_page_goes_on_however_old(shown: Shown) -> None:
    shown.ask()
    shown.policy, shown.failure = replace(shown.policy, page=0, stale=0), OperationalError(2002, "away")
    assert [shown.ask() for _ in range(20)] == [("first", MISS)] * 20
    assert shown.made == 2  # and it is asked once, then left alone for a while
    with pytest.raises(OperationalError):
        shown.ask("/shop/p/never-seen/")


def test_while_the_primary_is_away_what_is_there_is_shown_and_a_replica_only_where_nothing_is(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    shown.ask("/stale/")
    shown.ask("/cold/")
    settings.REPLICAS = ["replica1"]
    with monkeypatch.context() as away:
        away.setattr(database.watch, "is_gone", lambda alias: True)
        shown.made, shown.text, policy = 0, "of a replica", shown.policy
        for name, old in (("/stale/", replace(policy, page=0)), ("/cold/", replace(policy, page=0, stale=0))):
            shown.policy = old
            for _ in range(20):
                assert shown.ask(name)[0] == "first"
                renewed()
        assert shown.made == 0
        shown.policy = policy
        asked = [shown.ask("/nothing/") for _ in range(20)]
        renewed()
        assert asked == [("of a replica", MISS)] + [("of a replica", STALE)] * 19
        assert shown.made == 1
    page_cache.renewers._resting.clear()
    shown.text = "of the primary"
    assert shown.ask("/nothing/") == ("of a replica", STALE)
    renewed()
    assert shown.ask("/nothing/") == ("of the primary", HIT)


@pytest.mark.parametrize("silent", [95.0, 700.0])
def test_a_watch_that_is_behind_makes_no_page_old_from_the_start(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, silent: float
) -> None:
    """It cannot look, and requests can: each would make its page."""
    heard = time.monotonic() - silent
    monkeypatch.setattr(changes.watch, "heard_until", heard)
    monkeypatch.setattr(changes.watch, "looked_at", heard)
    assert [shown.ask() for _ in range(20)] == [("first", MISS)] + [("first", HIT)] * 19
    assert shown.made == 1
    # What another process made later is known to be that, though neither has heard more.
    known = pages.get(NAME)
    assert known is not None
    other = another()
    other.put(replace(known, made=known.made + 1, body=b"later"))
    assert pages.look_again(NAME) == other.get(NAME)
    # Nobody knows what changed meanwhile: it is trusted no longer than what is untrue is shown, and then shown on.
    known = pages.get(NAME)
    assert known is not None
    known.made -= shown.policy.stale + 1
    assert page_cache.judge(known, shown.policy).value == STALE
    known.made -= shown.policy.stale
    assert page_cache.judge(known, shown.policy).value == STALE
    monkeypatch.setattr(changes.watch, "heard_until", time.monotonic())
    assert page_cache.judge(known, shown.policy).value == HIT


def test_a_folder_that_is_removed_is_made_again(shown: Shown) -> None:
    shown.ask()
    shutil.rmtree(pages.folder.parent)
    assert shown.ask() == ("first", HIT)
    assert shown.ask("/another/") == ("first", MISS)
    assert [kept.name for kept in pages.all()] == ["/another/"]


def test_a_disk_without_locks_costs_nobody_the_answer(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making.os, "open", full)
    assert [shown.ask(), shown.ask()] == [("first", MISS), ("first", HIT)]


@pytest.mark.django_db(transaction=True)
def test_renewers_of_one_test_are_not_those_of_the_next() -> None:
    """They keep connections, and look whether these are usable still: a test without a database would be refused."""
    threads, ended = set(), []

    def renew() -> None:
        connection.ensure_connection()
        threads.add(threading.current_thread())
        connection.close = lambda: ended.append(True)

    page_cache.renewers.ask("/a/", renew)
    renewed()
    page_cache.forget()
    until(lambda: not any(thread.is_alive() for thread in threads), "it has ended", seconds=20)
    assert (len(threads), ended) == (1, [True])


def test_a_failure_is_everybodys_and_is_not_kept(shown: Shown) -> None:
    shown.failure = OperationalError(2002, "away")
    answers = held_herd(20, shown, lambda: waiting(page_cache._together) == 19)
    assert [type(answer) for answer in answers] == [OperationalError] * 20
    assert shown.made == 1
    shown.failure = None
    assert shown.ask() == ("first", MISS)


def test_a_renewal_that_fails_leaves_the_old_page_and_rests(shown: Shown) -> None:
    shown.ask()
    shown.failure = OperationalError(2002, "away")
    told()
    for _ in range(20):
        assert shown.ask() == ("first", STALE)
        renewed()
    assert shown.made == 2


def test_a_product_that_is_gone_is_a_page_no_more(shown: Shown) -> None:
    shown.ask()
    shown.failure = Http404("gone")
    told()
    assert shown.ask() == ("first", STALE)
    renewed()
    with pytest.raises(Http404):
        shown.ask()
    assert not list(pages.all())


def test_only_a_page_of_status_200_is_kept(shown: Shown) -> None:
    shown.status = 422
    assert [shown.ask(), shown.ask()] == [("first", MISS)] * 2
    assert shown.made == 2


def test_who_waits_too_long_is_told_so_and_nothing_is_left_locked(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WAIT_SECONDS", 0.1)
    path = pages.lock_path(NAME)
    with making.locked(path, wait=True):  # another process's, as far as the lock can tell
        with pytest.raises(making.TakesTooLong):
            shown.ask()
        with pytest.raises(making.Busy), making.locked(path, wait=False):
            pass
    assert shown.ask() == ("first", MISS)


def test_another_process_finds_the_page_in_its_file(shown: Shown) -> None:
    shown.ask()
    found = another().get(NAME)
    assert found is not None
    assert (found.body, found.mine, found.tags) == (b"first", False, shown.tags)
    assert found == pages.get(NAME)


def test_a_process_that_heard_nothing_yet_trusts_no_page_of_another(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not running when that page's product changed."""
    shown.ask()
    monkeypatch.setattr(page_cache, "pages", another())
    monkeypatch.setattr(changes.watch, "looked_at", None)
    assert shown.ask() == ("first", STALE)
    renewed()
    assert shown.made == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"name": "/shop/p/x/"}\n', b"[1]\n"])
def test_a_file_that_is_damaged_is_made_anew(shown: Shown, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    shown.ask()
    [path] = pages.folder.glob("*.page")
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:-1])
    monkeypatch.setattr(page_cache, "pages", another())
    assert shown.ask() == ("first", MISS)
    assert path.read_bytes()[-20:] == whole[-20:]


def test_a_full_disk_costs_the_other_processes_the_page(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shop.caching.kept_pages.os.replace", full)
    assert [shown.ask(), shown.ask()] == [("first", MISS), ("first", HIT)]
    assert not list(pages.folder.glob("*.draft"))


def test_memory_and_disk_are_bounded(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.caching.kept_pages.MEMORY_BYTES", 2_000)
    monkeypatch.setattr("shop.caching.kept_pages.FILES", 5)
    shown.text = "x" * 500
    shown.ask("/hot/")
    for number in range(20):
        shown.ask(f"/cold/{number}/")
        assert pages.get("/hot/") is not None
    assert pages._bytes <= 2_000
    assert "/hot/" in pages._memory  # what is asked for stays
    pages.sweep()
    assert len(list(pages.folder.glob("*.page"))) == 5
    size = next(pages.folder.glob("*.page")).stat().st_size
    monkeypatch.setattr("shop.caching.kept_pages.FILE_BYTES", 3 * size + 100)
    pages.sweep()
    assert len(list(pages.folder.glob("*.page"))) == 3


def test_a_process_sweeps_at_its_first_page_and_nobody_waits_for_it(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, swept_in = another(), []
    monkeypatch.setattr(page_cache, "pages", other)
    monkeypatch.setattr(other, "sweep", lambda: swept_in.append(threading.current_thread().name))
    for number in range(5):
        shown.ask(f"/cold/{number}/")
    renewed()
    assert len(swept_in) == 1
    assert swept_in[0].startswith("page-renewer")


def test_what_was_discovered_first_says_since_when_a_page_is_untrue() -> None:
    freshness.forget()
    for at in (10.0, 10.5, 10.8, 20.0, 30.0):
        freshness.hear(frozenset({"home"}), at)
    since = [freshness.untrue_since(tags={"home", "deals"}, began=began) for began in (5.0, 15.0, 25.0, 30.0)]
    assert since == [10.0, 20.0, 30.0, None]

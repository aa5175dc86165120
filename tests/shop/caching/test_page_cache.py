"""A page is made once for however many who ask, and shown no longer than it is true."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import OperationalError
from django.http import Http404

from shop import changes, making, page_cache
from shop.freshness import freshness
from shop.kept_pages import Pages, pages
from tests.deadline import until
from tests.shop.caching.conftest import HIT, MISS, STALE, Shown, crowd

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


def test_a_herd_on_a_cold_page_makes_it_once(shown: Shown) -> None:
    shown.hold()
    threading.Timer(0.2, shown.let_go.set).start()
    assert crowd(30, shown.ask) == [("first", MISS)] * 30
    assert shown.made == 1
    assert shown.ask() == ("first", HIT)


def test_without_the_rendering_in_common_and_the_lock_each_of_the_herd_makes_it(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_together", type("Alone", (), {"make": lambda self, name, make: make()})())
    monkeypatch.setattr(making.fcntl, "flock", lambda *args: None)
    shown.hold()
    threading.Timer(0.2, shown.let_go.set).start()
    crowd(30, shown.ask)
    assert shown.made > 10


def test_after_a_change_the_herd_is_answered_at_once_while_one_renews(shown: Shown) -> None:
    shown.ask()
    shown.text = "second"
    shown.hold()
    told()
    assert crowd(30, shown.ask) == [("first", STALE)] * 30  # nobody waits: the renewal is held
    shown.let_go.set()
    renewed()
    assert shown.made == 2
    assert crowd(30, shown.ask) == [("second", HIT)] * 30
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


def test_a_failure_is_everybodys_and_is_not_kept(shown: Shown) -> None:
    shown.failure = OperationalError(2002, "away")
    shown.hold()
    threading.Timer(0.2, shown.let_go.set).start()
    assert [type(answer) for answer in crowd(20, shown.ask)] == [OperationalError] * 20
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

    monkeypatch.setattr("shop.kept_pages.os.replace", full)
    assert [shown.ask(), shown.ask()] == [("first", MISS), ("first", HIT)]
    assert not list(pages.folder.glob("*.draft"))


def test_memory_and_disk_are_bounded(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.kept_pages.MEMORY_BYTES", 2_000)
    monkeypatch.setattr("shop.kept_pages.FILES", 5)
    shown.text = "x" * 500
    shown.ask("/hot/")
    for number in range(20):
        shown.ask(f"/cold/{number}/")
        assert pages.get("/hot/") is not None
    assert pages._bytes <= 2_000
    assert "/hot/" in pages._memory  # what is asked for stays
    pages.sweep()
    assert len(list(pages.folder.glob("*.page"))) == 5


def test_what_was_discovered_first_says_since_when_a_page_is_untrue() -> None:
    freshness.forget()
    for at in (10.0, 10.5, 10.8, 20.0, 30.0):
        freshness.hear(frozenset({"home"}), at)
    since = [freshness.untrue_since(tags={"home", "deals"}, began=began) for began in (5.0, 15.0, 25.0, 30.0)]
    assert since == [10.0, 20.0, 30.0, None]

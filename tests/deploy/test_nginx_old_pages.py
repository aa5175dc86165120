"""What the edge shows when a page is old, gone, or cannot be made. Nothing waits for that: what lies in the cache is
made older, in the place where nginx notes until when it may keep it."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deadline import until
from tests.deploy.edge import Edge, Origin, edge, origin

pytestmark = pytest.mark.process
SAID = "public, max-age=60, stale-while-revalidate=600, stale-if-error=0"
each_way = pytest.mark.parametrize("path", ["/", "/shop/p/x/", "/shop/c/bags/?page=2"])
WITHOUT_A_BOUND = {"proxy_cache_use_stale error": "proxy_cache_use_stale updating error"}


@pytest.fixture
def behind() -> Iterator[Origin]:
    with origin() as told:
        told.headers = {"Cache-Control": SAID}
        yield told


@pytest.fixture
def public(tmp_path: Path, behind: Origin) -> Iterator[Edge]:
    with edge(tmp_path, upstream=behind.port) as running:
        yield running


def make_older(public: Edge, seconds: int) -> None:
    """Everything in the cache. A file begins with its version and the time until which it is fresh."""
    kept = [path for path in (public.folder / "cache").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        with path.open("r+b") as entry:
            version, fresh_until = struct.unpack("@Lq", entry.read(16))
            assert version == 5, "another nginx writes other files"
            entry.seek(0)
            entry.write(struct.pack("@Lq", version, fresh_until - seconds))


@each_way
def test_an_old_page_is_answered_at_once_and_renewed_behind_it(public: Edge, behind: Origin, path: str) -> None:
    public.ask(path)
    make_older(public, 90)
    renewing = threading.Event()
    behind.before = lambda: renewing.wait(60)
    # Nobody waits while the application makes the next one: it is held until everybody was answered.
    assert {public.ask(path).body for _ in range(5)} == {b"answer 1"}
    until(lambda: len(behind.asked) == 2, "a renewal in the background")
    renewing.set()
    until(lambda: public.ask(path).body == b"answer 2", "the new page")


@each_way
def test_after_a_quiet_time_the_first_visitor_gets_the_new_page(public: Edge, behind: Origin, path: str) -> None:
    assert public.ask(path).body == b"answer 1"
    make_older(public, 700)
    assert public.ask(path).body == b"answer 2"


def test_without_that_bound_the_first_visitor_gets_the_old_one(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, without=WITHOUT_A_BOUND) as public:
        public.ask("/shop/p/x/")
        make_older(public, 700)
        assert public.ask("/shop/p/x/").body == b"answer 1"


@each_way
def test_what_was_withdrawn_is_gone_once_it_is_old(public: Edge, behind: Origin, path: str) -> None:
    public.ask(path)
    behind.status, behind.headers = 404, {"Cache-Control": "no-store"}
    assert public.ask(path).status == 200
    make_older(public, 700)
    assert [public.ask(path).status for _ in range(3)] == [404] * 3


def test_without_that_bound_it_is_shown_for_ever(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, without=WITHOUT_A_BOUND) as public:
        public.ask("/shop/p/x/")
        behind.status, behind.headers = 404, {"Cache-Control": "no-store"}
        for asked in (2, 3, 4):
            make_older(public, 700)
            assert public.ask("/shop/p/x/").status == 200
            until(lambda asked=asked: len(behind.asked) == asked, "the application said 404")  # type: ignore[misc]


def withdrawn(public: Edge, behind: Origin) -> int:
    """What is shown of a page that went, when the application goes after it."""
    public.ask("/shop/p/x/")
    behind.status, behind.headers = 404, {"Cache-Control": "public, max-age=0, s-maxage=60"}
    make_older(public, 700)
    assert public.ask("/shop/p/x/").status == 404
    behind.hang_up = True
    return public.ask("/shop/p/x/").status


def test_a_missing_page_takes_the_place_of_the_one_that_was_there(public: Edge, behind: Origin) -> None:
    assert withdrawn(public, behind) == 404
    assert behind.paths == ["GET /shop/p/x/"] * 2  # nor is a dead link asked for each time


def test_without_that_rule_it_comes_back_when_the_application_goes(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, without={'~404$ "";': ""}) as public:
        assert withdrawn(public, behind) == 200


@each_way
def test_while_the_application_is_away_the_page_goes_on(public: Edge, behind: Origin, path: str) -> None:
    public.ask(path)
    make_older(public, 700)
    behind.status = 503
    assert [public.ask(path).body for _ in range(2)] == [b"answer 1"] * 2
    behind.hang_up = True
    assert public.ask(path).body == b"answer 1"


def test_without_that_rule_the_page_goes_with_the_application(tmp_path: Path, behind: Origin) -> None:
    rule = "proxy_cache_use_stale error timeout invalid_header http_500 http_502 http_503 http_504;"
    with edge(tmp_path, upstream=behind.port, without={rule: ""}) as public:
        assert public.ask("/").status == 200
        make_older(public, 700)
        behind.hang_up = True
        assert public.ask("/").status == 503


@each_way
def test_how_long_it_may_be_shown_old_is_said_to_the_edge_alone(public: Edge, behind: Origin, path: str) -> None:
    behind.headers["ETag"] = '"x"'
    said = [public.ask(path), public.ask(path), public.ask(path, If_None_Match='"x"')]
    assert [answer.status for answer in said] == [200, 200, 304]
    behind.status, behind.headers = 404, {"Cache-Control": "no-store"}
    make_older(public, 700)
    assert [answer.all("Cache-Control") for answer in said] == [["public, max-age=60"]] * 3
    assert public.ask(path).all("Cache-Control") == ["no-store"]

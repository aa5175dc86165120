"""What the edge keeps and what it must not keep. Each rule stands beside what happens without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.edge import Answer, Edge, Origin, ask, edge, origin
from tests.herd import herd

pytestmark = pytest.mark.process


@pytest.fixture
def behind() -> Iterator[Origin]:
    with origin() as told:
        yield told


@pytest.fixture
def public(tmp_path: Path, behind: Origin) -> Iterator[Edge]:
    with edge(tmp_path, upstream=behind.port) as running:
        yield running


def ask_in_every_way(public: Edge) -> set[bytes]:
    """What strangers try so that the cache holds more, or something else."""
    return {
        public.ask("/").body,
        public.ask("/?utm_source=a").body,
        public.ask("/?b=2", Cookie="sessionid=x").body,
        public.ask("/", Accept="application/json", Accept_Language="de", User_Agent="x").body,
        public.ask("/", Cache_Control="no-cache", Pragma="no-cache", Authorization="Basic eDp5").body,
        public.ask("/", Host="localhost:81", X_Forwarded_Host="evil.example").body,
        public.ask("//", Accept_Encoding="gzip").body,
    }


def test_a_public_page_is_one_entry_whatever_is_asked_with_it(public: Edge, behind: Origin) -> None:
    assert ask_in_every_way(public) == {b"answer 1"}
    assert public.ask("/", "HEAD").status == 200
    assert behind.paths == ["GET /"]


def test_without_its_own_key_every_query_string_asks_the_application(tmp_path: Path, behind: Origin) -> None:
    without = {"proxy_cache_key $cache_name;": "proxy_cache_key $host$request_uri;", 'set $args "";': ""}
    with edge(tmp_path, upstream=behind.port, without=without) as public:
        assert len(ask_in_every_way(public)) > 3


def test_the_application_is_told_nothing_that_could_colour_the_page(public: Edge, behind: Origin) -> None:
    told = {"Cookie": "a=b", "Authorization": "Basic eDp5", "Referer": "http://x/", "X_Forwarded_Host": "evil.example"}
    public.ask("/?q=1", **told, Accept_Language="de", Host="localhost:666")
    heard = behind.asked[0].headers
    assert heard["Host"] == "localhost"
    names = ("Cookie", "Authorization", "Referer", "X-Forwarded-Host", "Accept-Language", "Accept-Encoding")
    assert [heard[name] for name in names] == [None] * len(names)


def test_a_first_request_by_head_leaves_the_whole_page(public: Edge, behind: Origin) -> None:
    assert public.ask("/api/board", "HEAD").body == b""
    assert public.ask("/api/board").body == b"answer 1"
    assert behind.paths == ["GET /api/board"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "private, max-age=60"},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "public, max-age=0"},
        {"Cache-Control": "public, max-age=60", "Set-Cookie": "sessionid=secret"},
        {"Cache-Control": "public, max-age=60", "Vary": "Cookie"},
        {},
    ],
    ids=str,
)
def test_an_answer_for_one_person_is_never_kept(public: Edge, behind: Origin, headers: dict[str, str]) -> None:
    behind.headers = headers
    assert [public.ask("/").body for _ in range(2)] == [b"answer 1", b"answer 2"]
    assert not any(path.is_file() for path in (public.folder / "cache").rglob("*"))


def test_without_the_rule_about_vary_one_persons_page_is_everybodys(tmp_path: Path, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60", "Vary": "Cookie"}
    with edge(tmp_path, upstream=behind.port, without={"proxy_no_cache $upstream_http_vary $is_error;": ""}) as public:
        assert {public.ask("/", Cookie=f"who={n}").body for n in range(2)} == {b"answer 1"}


def test_other_addresses_are_passed_on_each_time(public: Edge, behind: Origin) -> None:
    for path in ("/line/ticket/", "/api/position/ticket", "/signup/", "/ops/", "/api/board/x"):
        assert public.ask(path).body != public.ask(path).body
    assert public.ask("/", "POST", b"x").body != public.ask("/", "POST", b"x").body


def test_an_error_is_not_kept(public: Edge, behind: Origin) -> None:
    behind.status = 503
    assert public.ask("/").status == 503
    behind.status = 200
    assert public.ask("/").status == 200


def at_once(public: Edge) -> list[Answer]:
    return herd(50, lambda: ask(public.port, "/"))


def test_a_herd_on_a_cold_page_asks_the_application_once(public: Edge, behind: Origin) -> None:
    arrived = threading.Event()
    behind.before = lambda: arrived.wait(0.3)  # a page that takes its time
    assert {answer.body for answer in at_once(public)} == {b"answer 1"}
    assert len(behind.asked) == 1


def test_without_the_lock_the_whole_herd_asks(tmp_path: Path, behind: Origin) -> None:
    arrived = threading.Event()
    behind.before = lambda: arrived.wait(0.3)
    with edge(tmp_path, upstream=behind.port, without={"proxy_cache_lock on;": ""}) as public:
        at_once(public)
    assert len(behind.asked) > 10

"""Who asks, what is said and what is refused at the edge. Each rule stands beside what happens without it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.serving import free_port
from deploy import nginx
from tests.deadline import until
from tests.deploy.edge import Edge, Origin, ask, edge, origin

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def _module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Origin, Edge]]:
    with origin() as told, edge(tmp_path_factory.mktemp("edge"), upstream=told.port) as running:
        yield told, running


@pytest.fixture
def behind(_module: tuple[Origin, Edge]) -> Origin:
    told = _module[0]
    told.asked.clear()
    told.status, told.headers, told.hang_up, told.before = 200, {"Cache-Control": "no-store"}, False, bool
    return told


@pytest.fixture
def public(_module: tuple[Origin, Edge], behind: Origin) -> Edge:
    return _module[1]


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Edge]:
    """In front of an application that does not run."""
    with edge(tmp_path, upstream=free_port()) as running:
        yield running


# --- who is asking ----------------------------------------------------------------------------------------------------
def test_a_forged_address_and_scheme_go_no_further(public: Edge, behind: Origin) -> None:
    public.ask(
        "/x", X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https", Forwarded="for=6.6.6.6", X_Forwarded_Ssl="on"
    )
    heard = behind.asked[0].headers
    assert heard.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert heard.get_all("X-Forwarded-Proto") == ["http"]
    assert heard["Forwarded"] is None
    assert heard["X-Forwarded-Ssl"] is None


def test_a_balancer_is_believed_up_to_the_first_stranger(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, behind=("127.0.0.0/8", "10.0.0.0/8")) as public:
        public.ask("/x", X_Forwarded_For="6.6.6.6, 203.0.113.9, 10.1.2.3", X_Forwarded_Proto="https")
    assert behind.asked[0].headers.get_all("X-Forwarded-For") == ["203.0.113.9"]
    assert behind.asked[0].headers.get_all("X-Forwarded-Proto") == ["https"]


def test_a_header_that_poses_as_the_path_is_dropped(public: Edge, behind: Origin) -> None:
    with socket.create_connection(("127.0.0.1", public.port)) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nSCRIPT_NAME: /admin\r\nConnection: close\r\n\r\n")
        until(lambda: behind.asked, "the request passes")
    assert behind.asked[0].headers["SCRIPT_NAME"] is None


def test_a_name_that_is_not_ours_is_refused_and_the_balancers_probe_is_not(public: Edge, behind: Origin) -> None:
    assert public.ask("/", Host="evil.example").status == 421
    assert public.ask("/api/board", Host="10.0.0.7").status == 421
    assert behind.asked == []
    assert public.ask("/healthz", Host="10.0.0.7").status == 200


# --- ids and provenance -----------------------------------------------------------------------------------------------
def ids(public: Edge) -> list[str]:
    answers = [public.ask("/api/openapi.json", X_Request_ID="forged-forged") for _ in range(3)]
    assert [answer.body for answer in answers] == [b"answer 1"] * 3, "the last two come from the cache"
    return [one for answer in answers for one in answer.all("X-Request-ID")]


def test_each_request_has_an_id_of_its_own_also_when_the_answer_is_old(tmp_path: Path, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60", "X-Request-ID": "of-the-first-request"}
    with edge(tmp_path, upstream=behind.port) as public:
        said = ids(public)
        assert len(said) == len(set(said)) == 3
        assert behind.asked[0].headers.get_all("X-Request-ID") == [said[0]]
        assert public.logged(said[2])["cache"] == "HIT"


def test_without_hiding_a_stored_answer_repeats_the_id_of_another_request(tmp_path: Path, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60", "X-Request-ID": "of-the-first-request"}
    with edge(tmp_path, upstream=behind.port, without={"proxy_hide_header X-Request-ID;": ""}) as public:
        assert ids(public).count("of-the-first-request") == 3


def test_every_refusal_has_an_id_too(public: Edge) -> None:
    for answer in (public.ask("/metrics"), public.ask("/", Host="evil.example"), public.ask("/x" + "y" * 40_000)):
        assert answer.status >= 400
        assert len(answer.all("X-Request-ID")) == 1


def test_where_an_answer_came_from_is_said_once(tmp_path: Path, behind: Origin) -> None:
    said = {"X-Served-From": "replica", "X-Data-Age": "0.4", "X-Data-Age-At-Most": "3.4", "X-Data-As-Of": "then"}
    behind.headers = {"Cache-Control": "public, max-age=3", **said}
    with edge(tmp_path, upstream=behind.port) as public:
        first, second = public.ask("/api/board"), public.ask("/api/board")
        assert [first.all("X-Served-From"), first.all("X-Data-Age")] == [["replica"], ["0.4"]]
        assert [second.all("X-Served-From"), second.all("X-Data-Age")] == [["page-cache"], ["3.4"]]
        behind.hang_up = True
        old = until(lambda: old if not (old := public.ask("/api/board")).all("X-Data-Age") else None, "it is old")
        assert [old.all("X-Served-From"), old.all("X-Data-As-Of")] == [["page-cache"], ["then"]]
        assert old.all("X-Data-Age-At-Most") == []


def test_nothing_is_said_of_it_when_the_application_says_nothing(tmp_path: Path, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}
    with edge(tmp_path, upstream=behind.port) as public:
        for answer in (public.ask("/"), public.ask("/")):
            assert answer.all("X-Served-From") == answer.all("X-Data-Age") == []


# --- trying again -----------------------------------------------------------------------------------------------------
POSTS_ON_KEPT_CONNECTIONS = {
    "POST fresh;": "",
    "proxy_next_upstream error timeout;": "proxy_next_upstream error timeout non_idempotent;",
}


def hung_up(public: Edge, behind: Origin, method: str) -> int:
    """How often the application hears of one request when it hangs up on whoever comes by a kept connection."""
    public.ask("/x")
    behind.asked.clear()
    behind.hang_up = True
    answer = public.ask("/x", method, b"x" if method == "POST" else None)
    assert answer.status == 503
    assert answer.all("Retry-After") == ["5"]
    return len(behind.asked)


def test_a_post_is_never_done_twice(public: Edge, behind: Origin) -> None:
    assert hung_up(public, behind, "POST") == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_may_be_done_twice_is_tried_on_another_connection(tmp_path: Path, behind: Origin, method: str) -> None:
    with edge(tmp_path, upstream=behind.port, workers=1) as public:
        assert hung_up(public, behind, method) == 2


def test_without_the_rule_a_post_is_done_twice(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, workers=1, without=POSTS_ON_KEPT_CONNECTIONS) as public:
        assert hung_up(public, behind, "POST") == 2


# --- the application is away ------------------------------------------------------------------------------------------
def test_without_the_application_a_person_gets_a_page_and_a_program_a_problem(away: Edge) -> None:
    page, problem = away.ask("/"), away.ask("/api/position/x")
    assert [page.status, problem.status] == [503, 503]
    assert [page.all("Retry-After"), problem.all("Retry-After")] == [["5"], ["5"]]
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<h1>Service Unavailable</h1>" in page.body
    assert page.all("Content-Security-Policy")
    assert page.all("Cache-Control") == ["no-store"]
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert json.loads(problem.body)["status"] == 503
    asked_for = away.ask("/signup/", "POST", b"email=a%40b.example", Accept="application/json")
    assert json.loads(asked_for.body)["title"] == "Service Unavailable"
    assert away.logged(asked_for.headers["X-Request-ID"])["route"] == "/signup/"


# --- limits -----------------------------------------------------------------------------------------------------------
def test_what_is_too_large_is_refused_before_the_application_hears_of_it(public: Edge, behind: Origin) -> None:
    assert public.ask("/signup/", "POST", b"x" * 65_537).status == 413
    assert public.ask("/x", Cookie="x" * 40_000).status == 431
    assert public.ask("/x?" + "y" * 40_000).status == 414
    assert behind.asked == []
    assert public.ask("/signup/", "POST", b"x" * 65_536).status == 200


def test_a_body_that_comes_slowly_holds_nobody_up(public: Edge, behind: Origin) -> None:
    with socket.create_connection(("127.0.0.1", public.port)) as slow:
        slow.sendall(b"POST /signup/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        assert public.ask("/x").status == 200
        assert behind.paths == ["GET /x"], "the application hears of the slow one when it is whole"
        slow.sendall(b"def")
        until(lambda: behind.paths == ["GET /x", "POST /signup/"], "the whole request")


def test_who_asks_too_often_is_told_when_to_come_back_and_a_crowd_is_not(tmp_path: Path, behind: Origin) -> None:
    few = nginx.Limits(connections=0, requests_per_second=1, burst=5)
    with edge(tmp_path / "few", upstream=behind.port, limits=few) as public:
        answers = [public.ask("/api/position/x") for _ in range(20)]
        refused = [answer for answer in answers if answer.status == 429]
        assert 10 <= len(refused) <= 15
        assert refused[0].all("Retry-After") == ["1"]
        assert json.loads(refused[0].body)["status"] == 429
        assert {public.ask("/api/openapi.json").status for _ in range(20)} == {200}, "public pages are not counted"
    with edge(tmp_path / "usual", upstream=behind.port, limits=nginx.Limits()) as public:
        assert {public.ask("/api/position/x").status for _ in range(300)} == {200}


def test_connections_of_one_address_are_counted(tmp_path: Path, behind: Origin) -> None:
    release = threading.Event()
    behind.before = lambda: release.wait(20)
    few = nginx.Limits(connections=2, requests_per_second=0, burst=0)
    with edge(tmp_path, upstream=behind.port, limits=few) as public:
        waiting = [threading.Thread(target=ask, args=(public.port, "/x")) for _ in range(2)]
        for one in waiting:
            one.start()
        until(lambda: len(behind.asked) == 2, "two are being answered")
        assert public.ask("/x").status == 429
        release.set()
        for one in waiting:
            one.join()
        assert public.ask("/x").status == 200


# --- operators --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/./metrics", "/metrics?x=1"])
def test_figures_are_not_for_the_public(public: Edge, behind: Origin, path: str) -> None:
    assert public.ask(path).status == 404
    assert behind.asked == []


def test_operators_see_them_on_a_listener_of_their_own(public: Edge, behind: Origin) -> None:
    assert public.ask("/stub_status").body.startswith(b"answer"), "to the public it is an address like any other"
    assert b"Active connections" in public.ask("/stub_status", port=public.internal).body
    assert public.ask("/metrics", port=public.internal).status == 200
    assert public.ask("/", port=public.internal).status == 404


def test_another_network_sees_nothing_there(tmp_path: Path, behind: Origin) -> None:
    with edge(tmp_path, upstream=behind.port, internal_networks=("192.0.2.0/24",)) as public:
        assert public.ask("/stub_status", port=public.internal).status == 403

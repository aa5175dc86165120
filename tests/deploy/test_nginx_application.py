"""The edge with this application behind it: nginx and gunicorn as they run on a server."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from config.serving import free_port
from tests.deadline import until
from tests.deploy.edge import Answer, Edge, edge
from tests.deploy.web import Web, web

pytestmark = pytest.mark.process
SECURITY = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(tmp_path_factory.mktemp("web"), STAMPEDE_SIGNUPS_PER_MINUTE="3", STAMPEDE_PROVENANCE="1") as running:
        yield running


@pytest.fixture(scope="module")
def public(application: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    with edge(folder, upstream=application.port, static=application.static) as running:
        yield running


@pytest.fixture
def _counted_anew(application: Web) -> None:
    for path in (application.data / "cache").glob("*"):
        path.unlink()


def sign_up(public: Edge, email: str, **headers: str) -> Answer:
    body = json.dumps({"email": email}).encode()
    return public.ask("/signup/", "POST", body, Content_Type="application/json", **headers)


def ticket(public: Edge, email: str, **headers: str) -> str:
    answer = sign_up(public, email, **headers)
    assert answer.status == 202, answer.body
    return str(json.loads(answer.body)["ticket"])


def test_pages_keep_their_headers_when_they_come_from_the_cache(public: Edge) -> None:
    first, second = public.ask("/"), public.ask("/")
    assert public.logged(second.headers["X-Request-ID"])["cache"] in ("HIT", "UPDATING", "STALE")
    for name in (*SECURITY, "Cache-Control", "Content-Type"):
        assert len(second.all(name)) == 1, name
        assert second.all(name) == first.all(name)
    assert second.all("Set-Cookie") == []


def test_the_landing_page_is_the_same_for_every_host_we_have(application: Web, public: Edge) -> None:
    """What allows the cache to leave the host out of its key."""
    pages = {public.ask("/", port=application.port, Host=host).body for host in ("localhost", "127.0.0.1", "[::1]:99")}
    assert len(pages) == 1


def test_an_answer_of_the_cache_says_so_and_how_old_it_is_at_most(public: Edge) -> None:
    """nginx cannot add, so the bound is the application's: its data's age, plus how long the copy may lie here."""
    public.ask("/api/openapi.json")
    second = public.ask("/api/openapi.json")
    assert second.all("X-Served-From") == ["page-cache"]
    assert [len(second.all(name)) for name in ("X-Data-Age", "X-Data-As-Of", "X-Data-Age-At-Most")] == [1, 1, 0]
    said = datetime.fromisoformat(second.headers["X-Data-As-Of"])
    asked = parsedate_to_datetime(second.headers["Date"])
    assert (asked - said).total_seconds() <= float(second.headers["X-Data-Age"])
    assert public.ask("/api/position/x").all("X-Served-From") != ["page-cache"]


@pytest.mark.usefixtures("_counted_anew")
def test_a_forged_address_does_not_get_round_the_limit(public: Edge) -> None:
    statuses = [
        sign_up(public, f"forger-{n}@load.test", X_Forwarded_For=f"203.0.113.{n}, 127.0.0.1").status for n in range(8)
    ]
    assert statuses.count(429) >= 2, statuses  # three in a minute; the eight may fall into two


@pytest.mark.usefixtures("_counted_anew")
def test_people_behind_a_balancer_are_told_apart(application: Web, tmp_path: Path) -> None:
    with edge(tmp_path, upstream=application.port, behind=("127.0.0.0/8",)) as public:
        emails = [f"balanced-{n}@load.test" for n in range(8)]
        answers = [sign_up(public, email, X_Forwarded_For=f"203.0.113.{n}") for n, email in enumerate(emails)]
    assert [answer.status for answer in answers] == [202] * 8
    with closing(sqlite3.connect(application.data / "stampede.sqlite3")) as books:
        rows = books.execute("SELECT client_address FROM ico_entrant WHERE email LIKE 'balanced-%' ORDER BY id")
        assert [row[0] for row in rows] == [f"203.0.113.{n}" for n in range(8)]


def secrets_of(text: str, *secrets: str) -> list[str]:
    return [secret for secret in secrets if secret in text]


@pytest.mark.usefixtures("_counted_anew")
def test_no_ticket_and_no_token_is_written_to_a_log(public: Edge) -> None:
    held, token = ticket(public, "quiet@load.test"), "an-invitation-token-of-somebody"
    referer = f"http://localhost/line/{held}/"
    told = {
        f"/line/{held}/": "/line/…/",
        f"/l%69ne/{held}/leave/": "/line/…/leave/",
        f"/api/position/{held}?again={held}": "/api/position/…",
        f"/api/payment/{token}": "/api/payment/…",
        f"/i/{token}/": "/i/…/",
        f"/i/{token}/wallet/": "/i/…/wallet/",
        f"/LINE/{held}": "/…",
        f"/{held}": "/…",
        f"/static/{held}": "/static/…",
        "/api/board": "/api/board",
    }
    for path, route in told.items():
        line = public.logged(public.ask(path, Referer=referer).headers["X-Request-ID"])
        assert line["route"] == route
    assert secrets_of(public.access_log() + public.error_log(), held, token) == []
    assert line.keys() >= {"time", "method", "status", "seconds", "upstream_seconds", "client", "cache"}


def with_a_dead_application(folder: Path, **rules: str) -> str:
    with edge(folder, upstream=free_port(), without=dict(rules)) as public:
        for path in ("/line/held-by-somebody/", "/static/nothing"):
            answer = public.ask(path, Referer="http://localhost/line/held-by-somebody/")
        public.logged(answer.headers["X-Request-ID"])
        return public.access_log() + public.error_log()


def test_not_even_when_the_application_is_away(tmp_path: Path) -> None:
    assert secrets_of(with_a_dead_application(tmp_path), "held-by-somebody") == []


def test_nginx_usual_error_log_would_hold_it(tmp_path: Path) -> None:
    logs = f"error_log {tmp_path}/logs/error.log"
    said = with_a_dead_application(tmp_path, **{f"{logs} emerg;": f"{logs} error;"})
    assert secrets_of(said, "held-by-somebody") == ["held-by-somebody"]


def names(public: Edge) -> list[str]:
    page = public.ask("/").body.decode()
    return [*re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', page)]


def test_static_files_come_from_nginx_packed_and_for_good(public: Edge) -> None:
    assert len(names(public)) >= 3
    for path in names(public):
        plain, packed = public.ask(path), public.ask(path, Accept_Encoding="gzip")
        assert [plain.status, plain.all("Content-Encoding")] == [200, []]
        assert gzip.decompress(packed.body) == plain.body
        for answer in (plain, packed):
            assert answer.all("Cache-Control") == ["public, max-age=31536000, immutable"]
            assert answer.all("X-Content-Type-Options") == ["nosniff"]
            assert answer.all("Vary") == ["Accept-Encoding"]
        assert public.logged(plain.headers["X-Request-ID"])["upstream_status"] == ""


def test_a_name_without_a_digest_and_a_missing_file_are_not_for_good(public: Edge) -> None:
    assert public.ask("/static/site/site.css").all("Cache-Control") == ["public, max-age=60"]
    missing = public.ask("/static/site/site.0123456789ab.css")
    assert [missing.status, missing.all("Cache-Control")] == [404, ["no-store"]]
    assert public.ask("/static/../stampede.sqlite3").status in (400, 404)
    assert public.ask("/static/%2e%2e/stampede.sqlite3").status in (400, 404)


def test_the_board_and_the_page_outlive_the_application(application: Web, tmp_path: Path) -> None:
    with edge(tmp_path, upstream=application.port) as public:
        known = public.ask("/").body, public.ask("/api/board").body
        application.stop()
        try:
            until(lambda: public.ask("/api/position/x").status == 503, "the application is away")
            assert (public.ask("/").body, public.ask("/api/board").body) == known
        finally:
            application.start()
        until(lambda: public.ask("/api/position/x").status == 404, "the application is back")

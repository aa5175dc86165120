"""What a client is answered from the page cache, over the whole way and from the front: the same, for everybody."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from config import database
from config.requests import RETRY_AFTER_SECONDS
from shop import catalogue, changes, page_cache
from shop.caching.kept_pages import Kept, pages
from shop.models import Product, Variant
from tests.deadline import until

pytestmark = pytest.mark.django_db
PUBLIC = ("/shop/", "/shop/deals/", "/shop/events/")
# What differs from answer to answer, and nothing else may.
OWN = {"X-Request-ID"}


@pytest.fixture
def shop(catalogue_of_12: list[Product]) -> list[Product]:
    changes.look_now()
    return catalogue_of_12


@contextmanager
def queries(number: int) -> Iterator[None]:
    with CaptureQueriesContext(connection) as asked:
        yield
    assert len(asked) == number, [one["sql"] for one in asked]


def count(result: str, kind: str = "home") -> float:
    labels = {"kind": kind, "result": result}
    return REGISTRY.get_sample_value("stampede_page_cache_answers_total", labels) or 0.0


def ages(upper: str) -> float:
    """How many home pages that were answered were of this age in seconds, or younger."""
    labels = {"kind": "home", "le": upper}
    return REGISTRY.get_sample_value("stampede_page_cache_age_seconds_bucket", labels) or 0.0


def headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN}


def test_a_kept_page_asks_the_database_nothing_and_is_the_same_from_the_front(shop: list[Product]) -> None:
    product = shop[0]
    paths = [
        *PUBLIC,
        f"/shop/c/{product.category.slug}/",
        f"/shop/c/{product.category.slug}/?sort=price",
        f"/shop/p/{product.slug}/",
    ]
    for path in paths:
        client = Client()  # a process that just began: its front knows no way
        first = client.get(path)
        with queries(0):
            whole_way, from_front = Client().get(path), client.get(path)
        assert first.status_code == 200
        assert first.content == whole_way.content == from_front.content
        assert headers(first) == headers(whole_way) == headers(from_front)
        assert "Content-Security-Policy" in from_front.headers
        assert from_front.resolver_match.view_name == first.resolver_match.view_name
        assert from_front.headers["X-Request-ID"] != first.headers["X-Request-ID"]


def test_the_front_is_what_answers(shop: list[Product], monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: behind the front nothing is asked any more."""
    client = Client()
    client.get("/shop/")
    monkeypatch.setattr(page_cache, "find", None)
    assert client.get("/shop/").status_code == 200
    with pytest.raises(TypeError):
        Client().get("/shop/")


def test_it_is_packed_for_who_takes_that_and_not_sent_twice(shop: list[Product]) -> None:
    client = Client()
    plain = client.get("/shop/")
    packed = client.get("/shop/", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert gzip.decompress(packed.content) == plain.content
    assert (packed.headers["Vary"], packed.headers["Content-Encoding"]) == ("Accept-Encoding", "gzip")
    assert "Vary" not in plain.headers  # the edge keeps nothing that varies
    refusing = client.get("/shop/", headers={"Accept-Encoding": "gzip;q=0, br"})
    assert refusing.content == plain.content
    for known in (plain.headers["ETag"], f'"other", {plain.headers["ETag"]}', "*"):
        again = client.get("/shop/", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        for response in (again, Client().get("/shop/", headers={"If-None-Match": known})):  # the whole way as well
            assert "Content-Length" not in response.headers
        assert again.headers["ETag"] == plain.headers["ETag"]
    assert client.get("/shop/", headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head("/shop/")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(plain.content)))


def test_how_long_the_edge_may_keep_and_show_a_page_and_one_that_is_not_there(shop: list[Product]) -> None:
    client = Client()
    for answer in (client.get("/shop/"), client.get("/shop/")):  # the whole way, and from the front
        keeping = "public, max-age=0, s-maxage=5, stale-while-revalidate=5, stale-if-error=0"
        assert answer.headers["Cache-Control"] == keeping
    nothing = client.get("/shop/p/nothing/")
    assert (nothing.status_code, nothing.headers["Cache-Control"]) == (404, "public, max-age=0, s-maxage=5")
    assert not {"Vary", "Set-Cookie"} & nothing.headers.keys()  # the edge would not keep it
    assert Client().get("/shop/nothing/").headers["Cache-Control"] == "no-store"  # no page of a kind


def test_unknown_parameters_make_no_second_entry_and_known_ones_do(shop: list[Product]) -> None:
    path = f"/shop/c/{shop[0].category.slug}/"
    client = Client()
    for query in ("", "?utm_source=a", "?page=1", "?q=x&page=", "?sort="):
        assert client.get(path + query).status_code == 200
    assert [kept.name for kept in pages.all()] == [path]
    for query in ("?sort=price&low=1", "?low=1&x=y&sort=price", "?low=2&low=1&sort=price"):
        client.get(path + query)
    assert sorted(kept.name for kept in pages.all()) == [path, f"{path}?low=1&sort=price"]


def test_each_answer_is_counted_with_its_age(shop: list[Product], monkeypatch: pytest.MonkeyPatch) -> None:
    misses, hits, young, all_ages = count("miss"), count("hit"), ages("60.0"), ages("300.0")
    client, now = Client(), time.time()
    client.get("/shop/")
    assert (count("miss") - misses, ages("60.0") - young) == (1, 1)
    monkeypatch.setattr(time, "time", lambda: now + 200)  # ages are wall-clock; what is fresh is monotonic
    for _ in range(2):  # over the whole way, and from the front
        client.get("/shop/")
    assert (count("hit") - hits, ages("60.0") - young, ages("300.0") - all_ages) == (2, 1, 3)


@pytest.mark.parametrize(
    "query", ["?page=0", "?page=99999", "?page=-1", "?page=1e3", "?page=999999999999", "?page=%00"]
)
def test_absurd_pages_are_not_found_and_not_kept(shop: list[Product], query: str) -> None:
    path = f"/shop/c/{shop[0].category.slug}/"
    assert Client().get(path + query).status_code == 404
    assert not list(pages.all())


def test_an_escaped_question_mark_begins_no_query(shop: list[Product]) -> None:
    client = Client()
    path = f"/shop/c/{shop[0].category.slug}/"
    assert client.get(f"{path}?sort=price").status_code == 200
    assert client.get(f"{path}%3Fsort=price").status_code == Client().get(f"{path}%3Fsort=price").status_code == 404


def test_a_page_that_is_not_ready_says_when_to_come_again() -> None:
    answer = page_cache._unkept(page_cache.Page(body="not yet", tags=frozenset(), status=503))
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert "Retry-After" not in page_cache._unkept(page_cache.Page(body="", tags=frozenset(), status=422)).headers


def test_other_methods_and_foreign_hosts_are_refused_as_everywhere(shop: list[Product]) -> None:
    client = Client()
    for _ in range(2):  # over the whole way, and where the front knows it
        assert client.get("/shop/").status_code == 200
        assert client.post("/shop/", {"a": "b"}).status_code == 405
        assert client.get("/shop/", headers={"Host": "evil.example"}).status_code == 400


def test_a_change_of_the_price_is_shown_and_tells_only_what_shows_it(shop: list[Product]) -> None:
    variant = Variant.objects.filter(product=shop[0]).first()
    assert variant is not None
    client, path, other = Client(), f"/shop/p/{shop[0].slug}/", f"/shop/p/{shop[-1].slug}/"
    before, others = client.get(path).content, client.get(other).content
    catalogue.set_price(variant_id=variant.pk, price_cents=1_234_567)
    assert client.get(path).content == before  # nobody has looked yet
    changes.look_now()
    hits = count("hit", "product")
    assert client.get(other).content == others
    assert count("hit", "product") == hits + 1
    # A thread of its own renews, and it would not see a transaction that only the test is in.
    page_cache.renewers.ask, asked = (lambda name, renew: renew()), page_cache.renewers.ask  # type: ignore[method-assign]
    try:
        stale = client.get(path)
    finally:
        page_cache.renewers.ask = asked  # type: ignore[method-assign]
    assert stale.content == before
    assert "s-maxage=1" in stale.headers["Cache-Control"]  # the edge asks again at once
    assert b"12,345.67" in client.get(path).content


def with_cookie(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    def set_one(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.set_cookie("sessionid", "somebody's")
        return response

    return set_one


def varying(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    def vary(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Vary"] = "Cookie"
        return response

    return vary


@pytest.mark.parametrize("spoil", [with_cookie, varying])
def test_an_answer_with_a_cookie_is_refused_loudly_and_kept_nowhere(
    shop: list[Product], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spoil: Any
) -> None:
    from config.persons import PersonsMiddleware

    client = Client()
    assert client.get("/shop/").status_code == 200  # kept, and known to the front
    monkeypatch.setattr(PersonsMiddleware, "__call__", spoil_call(PersonsMiddleware.__call__, spoil))
    other = Client().get("/shop/")
    assert other.headers["Cache-Control"] == "private, no-store"
    assert "a kept page of home left with a cookie" in caplog.text
    assert not list(pages.all())


def spoil_call(call: Any, spoil: Any) -> Any:
    return lambda self, request: spoil(lambda request: call(self, request))(request)


def test_a_page_with_a_forms_secret_is_refused(shop: list[Product], monkeypatch: pytest.MonkeyPatch) -> None:
    from shop import views

    secret = '<input type="hidden" name="csrfmiddlewaretoken" value="x">'
    monkeypatch.setattr(views, "render_to_string", lambda *args: secret)
    client = Client(raise_request_exception=False)
    refused = REGISTRY.get_sample_value("stampede_page_cache_refused_total") or 0.0
    assert client.get("/shop/").status_code == 500
    assert not list(pages.all())
    assert REGISTRY.get_sample_value("stampede_page_cache_refused_total") == refused + 1


def test_who_is_logged_in_gets_the_page_that_everybody_gets(shop: list[Product]) -> None:
    client = Client()
    client.force_login(User.objects.create_user("ann@example.org"))
    mine, public = client.get("/shop/"), Client().get("/shop/")
    assert mine.content == public.content
    assert not mine.cookies
    assert b"ann@example.org" not in mine.content


def test_pages_are_made_from_the_primary_and_one_of_a_replica_is_old_from_the_start(
    shop: list[Product], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A replica that lags would put the old price into a page that looks new."""
    settings.REPLICAS = ["replica1"]
    monkeypatch.setattr(database.watch, "choose", lambda wanted: "replica1")
    asked: list[str] = []

    def make() -> page_cache.Page:
        asked.append(database.Router().db_for_read(Product))
        return page_cache.Page(body="page", tags=frozenset())

    policy = page_cache.policies()["home"]
    token = database._reading.set(database.Reading())
    monkeypatch.setattr(database, "connection", SimpleNamespace(in_atomic_block=False))
    try:
        make()  # the control: outside of the page cache this request reads from the replica
        page_cache.find("/a/", policy=policy, make=make)
        monkeypatch.setattr(database.watch, "is_gone", lambda alias: True)
        found, _ = page_cache.find("/b/", policy=policy, make=make)
    finally:
        database._reading.reset(token)
    assert asked == ["replica1", "default", "replica1"]
    assert isinstance(found, Kept)
    assert page_cache.judge(found, policy) is page_cache.State.STALE
    answer = page_cache.respond({}, found, state=page_cache.State.COLD, policy=policy)
    assert "s-maxage=1," in answer.headers["Cache-Control"]


def test_with_provenance_the_answer_says_where_it_is_from(shop: list[Product], settings: Any) -> None:
    settings.PROVENANCE = True
    client = Client()
    client.get("/shop/")
    until(lambda: float(client.get("/shop/").headers["X-Data-Age"]) > 0, "it has an age", seconds=10)
    answer = client.get("/shop/")
    assert answer.headers["X-Served-From"] == "page-cache"
    # What the edge says while its copy is fresh: the age, the seconds that it may keep it, and one.
    edge = page_cache.policies()["home"].edge
    bound = float(answer.headers["X-Data-Age"]) + edge + 1
    assert float(answer.headers["X-Data-Age-At-Most"]) == pytest.approx(bound, abs=0.11)

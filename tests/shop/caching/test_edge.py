"""The edge keeps the shop's public pages as the policy says, and only those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.urls import get_resolver

from deploy import nginx
from deploy.nginx import shop as edge_pages
from shop import views
from shop.caching import cache_policy
from shop.caching.cache_policy import Policy, policies
from shop.changes import KEPT_SECONDS
from shop.object_cache import OLD_SECONDS
from shop.page_cache import kept
from tests.deploy.edge import Edge, Origin, edge, origin

PRIVATE = (
    "/shop/cart/",
    "/shop/checkout/",
    "/shop/orders/",
    "/shop/fans/",
    "/shop/recommended/x/",
    "/account/",
    "/api/cart",
)
each_kind = pytest.mark.parametrize("policy", policies().values(), ids=lambda policy: policy.kind)


@pytest.fixture(scope="module")
def behind() -> Iterator[Origin]:
    with origin() as told:
        yield told


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, behind: Origin) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("edge")
    (folder / "media" / "p").mkdir(parents=True)
    (folder / "media" / "p" / "1-abc.webp").write_bytes(b"picture")
    (folder / "static").mkdir()
    with edge(folder, upstream=behind.port, static=folder / "static") as running:
        yield running


def address(policy: Policy) -> str:
    return re.sub("<[a-z]+>", "some-thing_1", policy.path)


def value(policy: Policy, name: str) -> str:
    """What our own links write."""
    return {"page": "2", "sort": "price-down", "q": "red+shoes%21", "category": "bags"}.get(name, "12.50")


@each_kind
def test_each_kind_is_an_address_of_the_application(policy: Policy) -> None:
    match = get_resolver().resolve(address(policy))
    assert match.view_name == f"shop:{policy.kind}"


def test_every_public_page_has_a_policy_and_a_wrong_kind_does_not_start() -> None:
    made = {name for name, view in vars(views).items() if hasattr(view, "__wrapped__") and not name.startswith("_")}
    assert made - {"kept"} <= policies().keys()
    with pytest.raises(KeyError):
        kept("nothing")


@each_kind
def test_nobody_keeps_a_page_longer_than_changes_are_told(policy: Policy) -> None:
    """A process that begins is told the changes of the last hour; what it finds must be younger."""
    assert policy.page + policy.stale < KEPT_SECONDS
    assert 1_800 + OLD_SECONDS < KEPT_SECONDS
    assert 0 <= policy.browser <= policy.edge <= policy.page


@each_kind
def test_the_edge_keeps_a_page_by_its_known_parameters_alone(public: Edge, behind: Origin, policy: Policy) -> None:
    behind.headers = {"Cache-Control": f"public, max-age={policy.browser}, s-maxage={policy.edge}"}
    path, before = address(policy), len(behind.asked)
    plain = {
        public.ask(path).body,
        public.ask(f"{path}?utm_source=a", Cookie="sessionid=x").body,
        public.ask(path, Accept="application/json", Authorization="Basic eDp5").body,
    }
    assert len(plain) == 1
    for name in policy.known:
        one = public.ask(f"{path}?{name}={value(policy, name)}").body
        assert one == public.ask(f"{path}?x=y&{name}={value(policy, name)}&z=1").body
        assert one not in plain
        plain.add(one)
    asked = [request.path for request in behind.asked[before:]]
    assert len(asked) == 1 + len(policy.known)
    assert not any("utm" in one or "x=y" in one for one in asked)
    assert [behind.asked[-1].headers[name] for name in ("Cookie", "Authorization")] == [None, None]


@pytest.mark.parametrize(
    "query", ["page=0", "page=99999", "page=1e3", "page=%32", "sort=PRICE", "low=1,5", "high=-1", "sort=" + "a" * 200]
)
def test_what_no_link_of_ours_says_is_passed_on_as_it_is_and_not_kept(public: Edge, behind: Origin, query: str) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}
    answers = [public.ask(f"/shop/c/bags/?{query}&x=y").body for _ in range(2)]
    assert answers[0] != answers[1]
    assert behind.asked[-1].path == f"/shop/c/bags/?{query}&x=y"
    assert public.ask("/shop/c/bags/").body not in answers  # nor may it be the page without them


def test_without_that_rule_strange_values_fill_the_cache(tmp_path: Path, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}
    rules = {"proxy_no_cache $odd;": "", "proxy_cache_bypass $odd;": ""}
    with edge(tmp_path, upstream=behind.port, without=rules) as public:
        assert len({public.ask("/shop/c/bags/?page=%32").body for _ in range(2)}) == 1


def test_private_pages_are_asked_for_each_time_with_their_cookies(public: Edge, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}  # whatever they say of themselves
    for path in PRIVATE:
        assert public.ask(path).body != public.ask(path, Cookie="sessionid=x").body
        assert behind.asked[-1].headers["Cookie"] == "sessionid=x"


def test_who_asks_for_always_another_page_meets_a_limit_and_who_browses_does_not(
    tmp_path: Path, behind: Origin
) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}
    limits = nginx.Limits(requests_per_second=1, burst=2)
    with edge(tmp_path, upstream=behind.port, limits=limits) as public:
        assert {public.ask("/shop/").status for _ in range(10)} == {200}
        assert {public.ask("/shop/c/bags/").status for _ in range(10)} == {200}
        asked = len(behind.asked)
        answers = [
            public.ask(f"{address}{number}/") for number in range(10) for address in ("/shop/p/no-", "/shop/c/no-")
        ]
        answers += [public.ask(f"/shop/search/?q={number}") for number in range(10)]
        refused = [answer for answer in answers if answer.status == 429]
        assert refused
        assert refused[0].all("Retry-After") == ["1"]
        assert len(behind.asked) - asked == len(answers) - len(refused)
        assert {public.ask("/shop/c/bags/").status for _ in range(10)} == {200}  # what is kept, for that address too


def test_without_that_limit_each_asks_the_application(tmp_path: Path, behind: Origin) -> None:
    behind.status, behind.headers = 404, {"Cache-Control": "public, max-age=0, s-maxage=60"}
    limits, rule = nginx.Limits(requests_per_second=1, burst=2), "limit_req zone=asked burst=2 nodelay;"
    with edge(tmp_path, upstream=behind.port, limits=limits, without={rule: ""}) as public:
        before = len(behind.asked)
        assert {public.ask(f"/shop/p/no-{number}/").status for number in range(20)} == {404}
        assert len(behind.asked) - before == 20
        assert public.ask("/shop/p/no-1/").status == 404
        assert len(behind.asked) - before == 20  # but the same one only once
    behind.status = 200


def test_the_log_tells_of_the_application_and_not_of_how_it_was_asked(public: Edge, behind: Origin) -> None:
    behind.headers = {"Cache-Control": "public, max-age=60"}
    for status, cache in (("200", "MISS"), ("", "HIT")):
        logged = public.logged(public.ask("/shop/p/logged/").all("X-Request-ID")[0])
        assert (logged["upstream_status"], logged["cache"], logged["status"]) == (status, cache, 200)
        assert ":" not in logged["upstream_seconds"] + logged["upstream_connect_seconds"]


def test_a_public_page_that_cannot_be_had_is_explained_as_elsewhere(public: Edge, behind: Origin) -> None:
    behind.hang_up = True
    try:
        answer = public.ask("/shop/p/never-seen/")
        api = public.ask("/api/search?q=never-seen", Accept="application/json")
    finally:
        behind.hang_up = False
    assert (answer.status, answer.all("Retry-After"), answer.all("Cache-Control")) == (503, ["5"], ["no-store"])
    assert b"<h1" in answer.body
    assert (api.status, api.all("Content-Type")) == (503, ["application/problem+json"])
    assert public.ask("/shop/p/x/", "POST", b"x" * 70_000).status == 413
    assert public.ask("/shop/p/x/", "POST", b"said").status == 200
    assert behind.asked[-1].command == "POST"


def test_pictures_are_files_that_never_change(public: Edge, behind: Origin) -> None:
    before = len(behind.asked)
    picture = public.ask("/media/p/1-abc.webp")
    assert (picture.status, picture.body) == (200, b"picture")
    assert picture.all("Cache-Control") == ["public, max-age=31536000, immutable"]
    assert picture.all("Content-Type") == ["image/webp"]
    assert public.ask("/media/p/").status in (403, 404)
    assert len(behind.asked) == before
    for way_up in ("/media/../nginx.conf", "/media../nginx.conf", "/media/%2e%2e/nginx.conf", "/media/..%2fnginx.conf"):
        assert b"daemon off" not in public.ask(way_up).body


def test_the_log_names_routes_and_not_products_orders_or_searches(public: Edge) -> None:
    for path, route in {
        "/shop/p/red-shoes/": "/shop/p/…/",
        "/shop/orders/A-17/pay/": "/shop/orders/…/pay/",
        "/shop/search/?q=secret": "/shop/search/",
        "/account/addresses/5/": "/account/addresses/…/",
        "/shop/cart/add/": "/shop/cart/add/",
    }.items():
        logged = public.logged(public.ask(path).all("X-Request-ID")[0])
        assert logged["route"] == route
        assert "secret" not in str(logged)


def test_a_parameter_means_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [
        replace(one, kind=one.kind, known={"page": pattern})
        for one, pattern in zip(policies().values(), "ab", strict=False)
    ]
    monkeypatch.setattr(edge_pages, "policies", lambda: {str(number): one for number, one in enumerate(two)})
    with pytest.raises(ValueError, match="page has two kinds of values"):
        edge_pages.values()


def test_the_files_are_written_from_the_policy_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another policy makes other files: nothing of it is written down a second time."""
    text = cache_policy.FILE.read_text()
    changed = text.replace('known = { page = "number" }', "known = {}").replace("/shop/deals/", "/shop/bargains/")
    (tmp_path / "policy.toml").write_text(changed)
    monkeypatch.setattr(cache_policy, "FILE", tmp_path / "policy.toml")
    monkeypatch.setattr(edge_pages, "policies", cache_policy.policies.__wrapped__)
    pages = edge_pages.values()["SHOP_PAGES"]
    assert "location = /shop/bargains/ {" in pages
    assert "/shop/deals/" not in pages
    assert "args_of_deals" not in pages

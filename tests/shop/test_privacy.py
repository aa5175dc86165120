"""Nothing that is somebody's is in a page for everybody: 10,000 anonymous requests that bring the cookies of 50
sessions, between requests for these sessions' own pages, while prices change and pages are made anew."""

from __future__ import annotations

import gzip
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.template import loader
from django.test import Client
from django.utils import timezone

from config import audit
from shop import address_book, cart, catalogue, changes, events, orders, page_cache, views
from shop.caching import page_audit
from shop.models import Address, Event, Product, Variant
from shop.searching import index_folder, indexing
from tests.deadline import until
from tests.shop.conftest import small_shop

REQUESTS = 10_000
CUSTOMERS, GUESTS = 40, 10
PRIVATE_EVERY, CHANGE_EVERY = 50, 1_000
WRONG = 0.02  # of the requests are for what is not there, which nobody keeps: each of them is answered anew
KEPT = ("private", "no-store")


@dataclass(frozen=True)
class Person:
    """A session. `marks`: texts that are this person's alone; `own`: addresses of theirs, and what stands there."""

    cookies: str
    marks: frozenset[str]
    own: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> str:
        return ", ".join(value for header, value in self.headers if header.lower() == name.lower())

    @property
    def text(self) -> str:
        packed = self.all("Content-Encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()


class Leaked(AssertionError):
    pass


@dataclass
class Watchman:
    """Looks at answers that are for everybody. A body that was looked at needs no second look."""

    marks: frozenset[str]
    known: set[bytes] = field(default_factory=set)

    def look(self, answer: Answer) -> None:
        if answer.all("Set-Cookie"):
            raise Leaked(f"a cookie is set: {answer.all('Set-Cookie')}")
        if "cookie" in answer.all("Vary").lower():
            raise Leaked("it varies by cookie")
        if answer.body in self.known:
            return
        text = answer.text
        found = [mark for mark in (*self.marks, "csrfmiddlewaretoken") if mark in text]
        if found:
            raise Leaked(f"it shows {found}")
        self.known.add(answer.body)


class Site:
    """The application as gunicorn calls it."""

    def __init__(self) -> None:
        self.application = WSGIHandler()

    def get(self, path: str, *, cookies: str = "", method: str = "GET", **headers: str) -> Answer:
        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": BytesIO(),
            **({"HTTP_COOKIE": cookies} if cookies else {}),
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        said: list[Any] = []
        response = self.application(environ, _hears(said))
        body = b"".join(response)
        response.close()
        return Answer(int(said[0].split()[0]), tuple(said[1]), body)


def _hears(said: list[Any]) -> Any:
    return lambda status, headers, *_: said.extend((status, headers))


# --- who asks ---------------------------------------------------------------------------------------------------------
def customer(number: int, product: Product, now: datetime) -> Person:
    mark = f"mark{number}x{secrets.token_hex(6)}"
    user = User.objects.create_user(f"{mark}@example.org", f"{mark}@example.org")
    street = f"{mark} Street 1"
    Address.objects.create(
        customer=user, name=f"N{mark}", street=street, postcode="10115", city="Berlin", country="DE", preferred=True
    )
    owner = cart.Owner(customer=user.pk)
    cart.add(owner=owner, product=product.slug, variant=None, quantity=1, now=now)
    key = orders.key_for(customer=user.pk, contents=cart.look(owner))
    to = address_book.Destination(f"N{mark}", street, "10115", "Berlin", "DE")
    order = orders.place(customer=user, key=key, to=to, card="test", now=now)
    cart.add(owner=owner, product=product.slug, variant=None, quantity=1, now=now)
    browser = Client()
    browser.force_login(user)
    session = browser.cookies["sessionid"].value
    own = (
        ("/shop/orders/", order.number),
        (f"/shop/orders/{order.number}/", street),
        ("/account/addresses/", street),
        ("/shop/checkout/", street),
        ("/shop/cart/", product.title),
        ("/account/", ""),
        ("/api/cart", ""),
        (f"/shop/recommended/{product.slug}/", ""),
    )
    return Person(f"sessionid={session}", frozenset({mark, order.number, session}), own)


def guest(product: Product, now: datetime) -> Person:
    owner = cart.add(owner=cart.NOBODY, product=product.slug, variant=None, quantity=1, now=now)
    assert owner.guest is not None
    cookie = cart.cookie_of(owner.guest)
    return Person(f"cart={cookie}", frozenset({cookie}), (("/shop/cart/", product.title), ("/api/cart", "")))


@pytest.fixture
def shop(transactional_db: None) -> Iterator[Product]:
    """One with an index. Real commits, for pages are also made anew in other threads."""
    page_cache.forget()
    products = small_shop(products=24, kinds=4)
    Variant.objects.update(stock=1_000)
    index_folder.reader.forget()
    indexing.rebuild()
    changes.look_now()
    yield products[0]
    until(page_cache.renewers.idle, "nothing is renewed any more")
    page_cache.forget()
    index_folder.reader.forget()


def people(goods: Product, *, customers: int, guests: int) -> list[Person]:
    now = timezone.now()
    return [*(customer(n, goods, now) for n in range(customers)), *(guest(goods, now) for _ in range(guests))]


# --- what is asked for ------------------------------------------------------------------------------------------------
def addresses(now: datetime) -> tuple[list[str], list[str]]:
    """Public ones of every kind, and some that are wrong."""
    products = list(Product.objects.select_related("category"))
    found = ["/shop/", "/shop/?utm_source=mail", "/shop/deals/", "/shop/deals/?page=1", "/shop/events/"]
    wrong = ["/shop/c/none/", f"/shop/c/{products[0].category.slug}/?low=x", "/shop/deals/?page=9"]
    found += [f"/shop/p/{one.slug}/" for one in products]
    shown = {happening.slug for happening in events.current(now)}
    for slug in Event.objects.values_list("slug", flat=True):
        (found if slug in shown else wrong).append(f"/shop/events/{slug}/")
    for slug in {one.category.slug for one in products}:
        queries = ("", "?sort=price", "?sort=new&low=10&high=90", "?sort=price&fbclid=1")
        found += [f"/shop/c/{slug}/{query}" for query in queries]
    for word in {one.title.split()[0] for one in products}:
        found += [f"{path}?q={word}" for path in ("/shop/search/", "/api/search", "/api/suggest")]
    return found, wrong


def wander(site: Site, people: list[Person], *, requests: int, seed: int) -> Counter[int]:
    """Ask, look at each answer, and return how often each status came. Raises `Leaked`."""
    drawn = random.Random(seed)
    watchman = Watchman(frozenset().union(*(person.marks for person in people)))
    (right, wrong), variants = addresses(timezone.now()), list(Variant.objects.all())
    statuses: Counter[int] = Counter()
    etags: dict[str, str] = {}
    for number in range(requests):
        if number % PRIVATE_EVERY == 0:
            ask_for_ones_own(site, drawn.choice(people), watchman.marks, drawn)
        if number % CHANGE_EVERY == 0:
            catalogue.set_price(variant_id=drawn.choice(variants).pk, price_cents=drawn.randint(500, 20_000))
            changes.look_now()
        path, person = drawn.choice(wrong if drawn.random() < WRONG else right), drawn.choice(people)
        headers = {"accept_encoding": "gzip"} if drawn.random() < 0.5 else {}
        if drawn.random() < 0.1:
            headers["if_none_match"] = etags.get(path, '"x"')
        cookies = f"{person.cookies}; csrftoken={secrets.token_hex(16)}" if drawn.random() < 0.8 else ""
        views_asked_by.append(person)
        answer = site.get(path, cookies=cookies, method="HEAD" if drawn.random() < 0.05 else "GET", **headers)
        watchman.look(answer)
        statuses[answer.status] += 1
        etags[path] = answer.all("ETag")
    return statuses


def ask_for_ones_own(site: Site, person: Person, marks: frozenset[str], drawn: random.Random) -> None:
    path, mark = drawn.choice(person.own)
    answer = site.get(path, cookies=person.cookies)
    assert answer.status == 200, path
    assert all(word in answer.all("Cache-Control") for word in KEPT), path
    assert mark in answer.text, path
    assert [other for other in marks - person.marks if other in answer.text] == [], path


views_asked_by: list[Person] = []  # the last is the one whose request is being answered


# --- the tests --------------------------------------------------------------------------------------------------------
def test_ten_thousand_anonymous_answers_show_nothing_of_anybody(shop: Product, now: datetime) -> None:
    fifty = people(shop, customers=CUSTOMERS, guests=GUESTS)
    statuses = wander(Site(), fifty, requests=REQUESTS, seed=1)
    assert statuses.total() == REQUESTS
    assert statuses.keys() == {200, 304, 404, 422}
    assert statuses[200] > REQUESTS * 0.7
    kept = page_audit.nothing_private_kept(audit.Evidence(now=now))
    assert kept.breaches == ()
    assert kept.checked > 50


def test_a_view_that_knows_who_asks_is_seen(shop: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: one kind of page greets whoever it was made for."""
    honest = loader.render_to_string

    def greeting(template: str, context: dict[str, Any]) -> str:
        hello = min(views_asked_by[-1].marks) if template.endswith("product.html") else ""
        return honest(template, context) + hello

    monkeypatch.setattr(views, "render_to_string", greeting)
    with pytest.raises(Leaked, match="it shows"):
        wander(Site(), people(shop, customers=2, guests=1), requests=500, seed=2)


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [("Set-Cookie", "sessionid=1", "a cookie is set"), ("Vary", "Accept, Cookie", "it varies by cookie")],
)
def test_a_cookie_is_seen(header: str, value: str, said: str) -> None:
    with pytest.raises(Leaked, match=said):
        Watchman(frozenset()).look(Answer(200, ((header, value),), b"hello"))


def test_a_mark_is_seen_in_the_packed_form() -> None:
    packed = Answer(200, (("Content-Encoding", "gzip"),), gzip.compress(b"hello ann"))
    with pytest.raises(Leaked, match="ann"):
        Watchman(frozenset({"ann"})).look(packed)

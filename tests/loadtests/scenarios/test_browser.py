"""What a visitor's browser sends with a request, and what it does not ask for again."""

from dataclasses import dataclass
from typing import Any

import pytest

from loadtests.browsing.browser import Browser
from loadtests.scenarios.visitor import PAGE, Visitor
from loadtests.steps import Answer, Step, Untrue
from tests.loadtests.scenarios.visiting import crowd_at, visit
from tests.loadtests.small_sale import Answer as Said
from tests.loadtests.small_sale import SmallSale, serving


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def browser(*, secure: bool = False) -> tuple[Browser, Clock]:
    clock = Clock()
    return Browser(clock=clock, secure=secure), clock


def answer(status: int = 200, *, cookies: tuple[str, ...] = (), body: bytes = b"page", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.1, "/", cookies)


def ask(one: Browser, path: str = "/", **more: Any) -> Step:
    return one.ask(name="a.b", path=path, accept=PAGE, **more)


def receive(one: Browser, got: Answer, path: str = "/", **more: Any) -> None:
    step = ask(one, path, **more)
    assert step.check is not None
    step.check(got)
    one.seen(path, got)


def cookies_sent(one: Browser, path: str = "/") -> str | None:
    return ask(one, path).headers.get("Cookie")


def test_what_is_fresh_is_not_asked_for_and_what_is_old_is_asked_with_its_validators() -> None:
    one, clock = browser()
    receive(one, answer(cache_control="public, max-age=60, immutable", etag='"1"', last_modified="yesterday"))
    clock.now = 59.9
    kept = one.fresh("/")
    assert kept is not None
    assert kept.body == b"page"
    clock.now = 60.0
    assert one.fresh("/") is None
    step = ask(one)
    assert step.expect == (200, 304)
    assert (step.headers["If-None-Match"], step.headers["If-Modified-Since"]) == ('"1"', "yesterday")


def test_after_a_304_the_visitor_sees_what_was_kept_and_it_is_fresh_again() -> None:
    one, clock = browser()
    receive(one, answer(cache_control="max-age=10", etag='"1"'))
    clock.now = 20.0
    seen: list[bytes] = []
    receive(one, answer(304, body=b"", cache_control="max-age=10"), check=lambda got: seen.append(got.body))
    assert seen == [b"page"]
    assert one.fresh("/") is not None
    clock.now = 30.0
    assert ask(one).headers["If-None-Match"] == '"1"'


@pytest.mark.parametrize(
    ("control", "asked_again_with"),
    [
        ("no-store", None),
        ("private, no-store, max-age=60", None),
        ("no-cache, max-age=60", '"1"'),
        ("max-age=0", '"1"'),
    ],
)
def test_what_may_not_be_shown_again_is_asked_for(control: str, asked_again_with: str | None) -> None:
    one, _ = browser()
    receive(one, answer(cache_control=control, etag='"1"'))
    assert one.fresh("/") is None
    assert ask(one).headers.get("If-None-Match") == asked_again_with


def test_neither_a_failure_nor_what_was_posted_to_is_kept() -> None:
    one, _ = browser()
    receive(one, answer(cache_control="max-age=60"))
    receive(one, answer(303), method="POST", expect=(303,))
    assert one.fresh("/") is None
    receive(one, answer(404, cache_control="max-age=60"))
    assert one.fresh("/") is None


def test_ages_are_in_the_visitors_own_time() -> None:
    clock = Clock(100.0)
    crowd = crowd_at("http://127.0.0.1:1", time_scale=0.1, clock=clock)
    before = crowd.visitors_time()
    clock.now += 3
    assert crowd.visitors_time() - before == pytest.approx(30)


def test_cookies_are_sent_back_where_they_belong_until_they_end() -> None:
    one, _ = browser()
    receive(one, answer(cookies=("cart=abc; Path=/; HttpOnly; Max-Age=100", "who=x; Path=/shop/", "s=1; Secure")))
    assert cookies_sent(one) == "cart=abc"
    assert cookies_sent(one, "/shop/") == "cart=abc; who=x"
    assert cookies_sent(one, "/shopping/") == "cart=abc"
    receive(one, answer(cookies=("cart=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/",)))
    assert cookies_sent(one) is None
    safe, _ = browser(secure=True)
    receive(safe, answer(cookies=("s=1; Secure",)))
    assert cookies_sent(safe) == "s=1"


def test_cookies_of_an_answer_that_is_untrue_are_kept_all_the_same() -> None:
    one, _ = browser()

    def untrue(got: Answer) -> None:
        raise Untrue("never")

    with pytest.raises(Untrue):
        receive(one, answer(cookies=("cart=abc",)), check=untrue)
    assert cookies_sent(one) == "cart=abc"


class Twice(Visitor):
    __slots__ = ()
    NAME = "twice"

    def journey(self):  # type: ignore[no-untyped-def]
        for _ in range(2):
            yield from self.page("twice.page", "/")


def test_a_page_with_its_parts_and_nothing_from_elsewhere() -> None:
    for_ever = {"Cache-Control": "max-age=1000"}
    with serving() as bystander:

        def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Said:
            pages = {
                "/": f'<link rel="stylesheet" href="/a.css"><img src="{bystander.url}/x.png"><img src="/gone.png">',
                "/a.css": '@import "b.css"; @import "/a.css";',
                "/b.css": "",
            }
            kind = {"Content-Type": "text/css"} if path.endswith("css") else {}
            return Said(200, pages[path], {**for_ever, **kind}) if path in pages else Said(404)

        with serving(script) as sale:
            notes: list[str] = []
            seen = visit(Twice(crowd_at(sale.url, note=notes.append), 0))
        assert bystander.connections == 0
    assert seen.names == ["twice.page", "resource.css", "resource.image", "resource.css", "resource.image"]
    assert set(notes) == {"a link off the target, not fetched"}
    assert seen.wrong.count("resource.image failure: status 404, expected 200") == 2

"""What people do in the shop, in their words; the scenarios put these together. Every answer is held against what this
person has done: their cart, their orders, their history, and nobody else's."""

from collections.abc import Generator
from typing import Any
from urllib.parse import quote, urlencode

from loadtests.crowd import Crowd
from loadtests.scenarios import shop_pages
from loadtests.scenarios.visitor import Doing, Visitor, json_object, page_text
from loadtests.steps import Answer, Check, GaveUp, Journey, claim

Chosen = Generator[Any, Any, str]


class Shopper(Visitor):
    """`links`: what can be clicked on the page that was opened last. `in_cart`: pieces by variant. `looked_at`: the
    products whose pages were opened. `choices`: what the last of them has left, by variant. `club`: the number on the
    fan club's page, once it was seen."""

    __slots__ = ("choices", "club", "in_cart", "links", "looked_at", "orders", "signed_in")

    def __init__(self, crowd: Crowd, index: int) -> None:
        super().__init__(crowd, index)
        self.links = shop_pages.Links((), (), (), ())
        self.in_cart: dict[str, int] = {}
        self.looked_at: set[str] = set()
        self.orders: list[str] = []
        self.signed_in = False
        self.club = ""
        self.choices: tuple[str, ...] = ()

    # --- looking around -----------------------------------------------------------------------------------------------
    def open_the_store(self) -> Journey:
        yield from self.public_page("home", "/shop/")

    def open_a_department(self) -> Journey:
        yield from self.public_page("category", self.one_of(self.links.categories, "departments"))

    def open_the_deals(self) -> Journey:
        yield from self.public_page("deals", "/shop/deals/")

    def open_the_events(self) -> Journey:
        """The list, and the first event that there is."""
        yield from self.public_page("events", "/shop/events/")
        if self.links.events:
            yield from self.think(3, 8)
            yield from self.public_page("event", self.chance.choice(self.links.events))

    def open_a_shelf(self) -> Journey:
        """A department mostly; the deals, the events or a search otherwise."""
        (go,) = self.chance.choices(
            [self.open_a_department, self.open_the_deals, self.open_the_events, self.search_for_something],
            weights=[50, 20, 10, 20],
        )
        yield from go()

    def search_for_something(self) -> Journey:
        """A word of a name that was shown, typed with suggestions on the way."""
        if not self.links.words:
            yield from self.open_the_store()
        word = self.one_of(self.links.words, "words")
        for typed in (word[:3], word):
            yield from self.get(self.named("suggest"), f"/api/suggest?q={quote(typed)}", check=is_json, needed=False)
        yield from self.public_page("search", f"/shop/search/?q={quote(word)}", check=says_what_was_searched(word))

    def look_at_a_product(self) -> Chosen:
        """Click one of those that are shown. The widget in its page is fetched as a part of it."""
        path = self.one_of(self.links.products, "products")
        self.looked_at.add(path)
        gone = (404,) if self.crowd.moving else ()
        answer = yield from self.shop_page("product", path, check=self.check_product(path), also=gone)
        self.choices = shop_pages.product(answer.body).choices if answer.status == 200 else ()
        return path

    def one_of(self, what: tuple[str, ...], called: str) -> str:
        if not what:
            raise GaveUp(f"the shop shows no {called} here")
        return self.chance.choice(what)

    # --- having an account --------------------------------------------------------------------------------------------
    def make_an_account(self, *, then: str) -> Journey:
        """`then`: the page to which it leads."""
        yield from self.own_page("signup_page", f"/account/signup/?{urlencode({'next': then})}")
        yield from self.think(8, 20)
        yield from self.enter("signup", then)

    def log_in(self, *, then: str) -> Journey:
        yield from self.own_page("login_page", f"/account/login/?{urlencode({'next': then})}")
        yield from self.think(4, 8)
        yield from self.enter("login", then)

    def enter(self, form: str, then: str) -> Journey:
        fields = {"email": self.crowd.email(self.index), "password": self.crowd.password(self.index), "next": then}
        yield from self.post(self.named(form), f"/account/{form}/", fields, expect=(303,), check=self.leads(then))
        self.signed_in = True

    def log_out(self) -> Journey:
        yield from self.post(self.named("logout"), "/account/logout/", {}, expect=(303,), check=self.leads("/shop/"))
        self.signed_in = False
        self.in_cart = {}  # it belongs to the account, and is there again after the next login

    def visit_the_fan_club(self) -> Journey:
        yield from self.own_page("fans", "/shop/fans/", check=self.check_fan_club)

    # --- pages --------------------------------------------------------------------------------------------------------
    def public_page(self, step: str, path: str, *, check: Check | None = None) -> Doing:
        return (yield from self.shop_page(step, path, check=together(check_public, check)))

    def own_page(self, step: str, path: str, *, check: Check | None = None, also: tuple[int, ...] = ()) -> Doing:
        return (yield from self.shop_page(step, path, check=together(check_private, check), also=also))

    def shop_page(self, step: str, path: str, *, check: Check | None, also: tuple[int, ...] = ()) -> Doing:
        """A page, its parts, and what its script asks for: the badge of the cart."""
        answer = yield from self.page(self.named(step), path, check=check, also=also)
        if answer.status == 200:
            self.links = shop_pages.links(answer.body)
            yield from self.get(self.named("cart_badge"), "/api/cart", check=self.check_badge, needed=False)
        return answer

    def named(self, step: str) -> str:
        return f"{self.NAME}.{step}"

    # --- what must be true --------------------------------------------------------------------------------------------
    def check_badge(self, answer: Answer) -> None:
        badge, mine = json_object(answer), sum(self.in_cart.values())
        check_private(answer)
        claim(
            badge.get("count") == mine, f"the badge says {badge.get('count')!r} pieces, this visitor's cart has {mine}"
        )
        claim(badge.get("signed_in") is self.signed_in, f"the badge says signed in: {badge.get('signed_in')!r}")

    def check_product(self, path: str) -> Check:
        def check(answer: Answer) -> None:
            check_public(answer)
            if answer.status != 200:
                return
            shown = shop_pages.product(answer.body)
            if shown.offers:
                cheapest = min(shown.offers)
                claim(
                    shown.price_cents == cheapest, f"the page says {shown.price_cents}, its cheapest offer {cheapest}"
                )
            self.crowd.saw(product=path.rstrip("/").rpartition("/")[2], price_cents=shown.price_cents)

        return check

    def check_fan_club(self, answer: Answer) -> None:
        number = shop_pages.club_number(page_text(answer))
        claim(bool(number), "the fan club's page names no club number")
        claim(self.club in ("", number), f"the club number changed from {self.club} to {number}")
        other = self.crowd.other_owner(f"club {number}", self.index)
        claim(other is None, f"visitor {other} has the same club number {number}")
        self.club = number

    def check_frame(self, path: str, answer: Answer) -> None:
        check_private(answer)
        self.looked_at.add(f"/shop/p/{path.rstrip('/').rpartition('/')[2]}/")  # the shop counts it as seen as well
        foreign = set(shop_pages.seen_by_reader(page_text(answer))) - self.looked_at
        claim(not foreign, f"the widget says this visitor has seen what they never opened: {sorted(foreign)[:3]}")

    def leads(self, where: str) -> Check:
        def check(answer: Answer) -> None:
            path = self.follow(answer)
            claim(path == where, f"redirected to {path} instead of {where}")

        return check


def together(*checks: Check | None) -> Check:
    def check(answer: Answer) -> None:
        for one in checks:
            if one is not None:
                one(answer)

    return check


def check_public(answer: Answer) -> None:
    claim(not answer.cookies, "a public page sets a cookie")


def check_private(answer: Answer) -> None:
    claim("no-store" in answer.headers.get("cache-control", ""), "a private page may be stored by a cache")


def is_json(answer: Answer) -> None:
    json_object(answer)


def says_what_was_searched(word: str) -> Check:
    def check(answer: Answer) -> None:
        claim(f'name="q" value="{word}"' in page_text(answer), f"the page is not of a search for {word!r}")

    return check

"""Somebody who comes to buy: searches, looks, fills a cart, orders with a new account, and looks at the order."""

from collections.abc import Generator
from typing import Any
from urllib.parse import urlencode

from loadtests.scenarios import shop_pages
from loadtests.scenarios.shopper import Shopper
from loadtests.scenarios.visitor import PAGE, page_text
from loadtests.steps import Answer, Journey, claim

STATES = {"reserved", "paid", "refused", "cancelled", "expired"}
ORDER_POLL_SECONDS = 2.0  # as the page reloads itself
ORDER_POLLS = 15
TRIES = 3
HOME = {"name": "A. Visitor", "street": "Teststraße 1", "postcode": "10115", "city": "Berlin", "country": "DE"}


class Buyer(Shopper):
    __slots__ = ("number", "state", "total")
    NAME = "buyer"
    JOURNEY_SECONDS = 10 + TRIES * (15 + 20.0) + 20 + 30 + ORDER_POLLS * ORDER_POLL_SECONDS + 8

    def journey(self) -> Journey:
        yield from self.open_the_store()
        yield from self.think(5, 10)
        yield from self.search_for_something()
        yield from self.buy_something()

    def buy_something(self) -> Journey:
        """From the shelf in front of us to the order; whoever finds everything sold out leaves without."""
        if not (yield from self.put_something_into_the_cart()):
            return
        yield from self.go_to_the_checkout()
        yield from self.think(10, 30)
        if (yield from self.place_the_order()):
            yield from self.poll(self.look_at_the_order, every=ORDER_POLL_SECONDS, times=ORDER_POLLS)
            yield from self.think(3, 8)
            yield from self.own_page("history", "/shop/orders/", check=self.check_history)

    def put_something_into_the_cart(self) -> Generator[Any, Any, bool]:
        for _ in range(TRIES):
            if not self.links.products:
                yield from self.open_the_store()
            yield from self.think(5, 15)
            path = yield from self.look_at_a_product()
            yield from self.think(5, 20)
            if self.choices and (yield from self.add_to_the_cart(path)):
                return True
        return False

    def add_to_the_cart(self, path: str) -> Generator[Any, Any, bool]:
        """409: somebody was faster, and the shop says so."""
        variant = self.chance.choice(self.choices)
        form = {"product": path.rstrip("/").rpartition("/")[2], "variant": variant, "quantity": "1"}
        answer = yield from self.post(self.named("cart_add"), "/shop/cart/add/", form, expect=(303, 409))
        if answer.status == 409:
            return False
        self.in_cart[variant] = self.in_cart.get(variant, 0) + 1
        yield from self.own_page("cart", "/shop/cart/", check=self.check_cart)
        return True

    def go_to_the_checkout(self) -> Journey:
        """Whoever is not known is asked to log in first, and makes an account."""
        checkout = "/shop/checkout/"
        if not self.signed_in:
            login = self.leads(f"/account/login/?{urlencode({'next': checkout})}")
            yield from self.get(self.named("checkout_as_guest"), checkout, accept=PAGE, expect=(303,), check=login)
            yield from self.make_an_account(then=checkout)

    def place_the_order(self) -> Generator[Any, Any, bool]:
        """What is in the cart may be sold out, or cost more, meanwhile: then we look once more, and leave."""
        for _ in range(2):
            page = yield from self.own_page("checkout", "/shop/checkout/", check=self.check_checkout, also=(303,))
            if page.status == 303:
                return False
            form = {**HOME, **shop_pages.checkout_form(page.text)}
            if self.chance.random() < 0.1:
                form["card"] = self.chance.choice(shop_pages.cards(page.text))
            answer = yield from self.post(
                self.named("order_post"), "/shop/checkout/", form, expect=(303, 409), check=self.check_confirmed
            )
            if answer.status == 303:
                self.in_cart = {}
                return True
        return False

    def look_at_the_order(self) -> Generator[Any, Any, bool]:
        yield from self.own_page("order", f"/shop/orders/{self.number}/", check=self.check_order)
        return self.state != "reserved"

    # --- what must be true --------------------------------------------------------------------------------------------
    def check_cart(self, answer: Answer) -> None:
        held = shop_pages.cart(page_text(answer))
        foreign = set(held) - set(self.in_cart)
        claim(not foreign, f"the cart holds what this visitor never put there: {sorted(foreign)[:3]}")
        claim(held == self.in_cart, f"the cart holds {held}, this visitor put {self.in_cart} there")

    def check_checkout(self, answer: Answer) -> None:
        if answer.status == 200:
            self.total = shop_pages.total(page_text(answer))
            claim('name="key"' in answer.text, "the checkout has no key")

    def check_confirmed(self, answer: Answer) -> None:
        """A 303 to an order's page is a promise: written down before anything else is looked at."""
        if answer.status != 303:
            return
        path = self.follow(answer)
        self.number = path.strip("/").rpartition("/")[2]
        self.crowd.ordered(email=self.crowd.email(self.index), number=self.number, total_cents=self.total)
        self.orders.append(self.number)
        claim(path == f"/shop/orders/{self.number}/", f"an order leads to {path}")
        other = self.crowd.other_owner(f"order {self.number}", self.index)
        claim(other is None, f"visitor {other} was given the same order {self.number}")

    def check_order(self, answer: Answer) -> None:
        text = page_text(answer)
        self.state = shop_pages.order_state(text)
        claim(self.state in STATES, f"unknown state {self.state!r} of an order")
        claim(f"Order {self.number}" in text, f"the page is not of order {self.number}")
        total = shop_pages.order_total(text)
        claim(total == self.total, f"the order costs {total}, the checkout said {self.total}")

    def check_history(self, answer: Answer) -> None:
        listed = list(shop_pages.orders(page_text(answer)))
        claim(listed == self.orders[::-1], f"the history lists {listed[:3]}, this visitor ordered {self.orders[-3:]}")

"""A lie planted for each thing that must be true of an answer. Where it can, the real application tells it: it is asked
with another visitor's cookies, as if it had taken one for the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadtests.crowd import Crowd
from loadtests.scenarios.browse import Browse
from loadtests.scenarios.buyer import Buyer
from loadtests.scenarios.member import Member
from loadtests.scenarios.visitor import Visitor
from loadtests.steps import Answer, Journey, Step
from tests.loadtests.scenarios.visiting import visit

pytestmark = pytest.mark.process


class Cartful(Buyer):
    """Puts something into the cart and leaves."""

    __slots__ = ()
    NAME = "cartful"

    def journey(self) -> Journey:
        yield from self.open_the_store()
        yield from self.put_something_into_the_cart()


class Ordering(Buyer):
    """Orders, and looks at the order once."""

    __slots__ = ()
    NAME = "ordering"

    def journey(self) -> Journey:
        yield from self.open_the_store()
        yield from self.put_something_into_the_cart()
        yield from self.go_to_the_checkout()
        yield from self.place_the_order()
        yield from self.look_at_the_order()
        yield from self.own_page("history", "/shop/orders/", check=self.check_history)


class Looking(Member):
    """Sees the fan club, two products, and what is recommended beside them."""

    __slots__ = ()
    NAME = "looking"

    def journey(self) -> Journey:
        yield from self.make_an_account(then="/shop/fans/")
        yield from self.visit_the_fan_club()
        for _ in range(2):
            yield from self.open_the_store()
            yield from self.look_at_a_product()


def taken_for(other: Visitor, *names: str) -> Callable[[Step], Step]:
    """The application is sent the other's cookies with the requests of these names."""

    def meddle(step: Step) -> Step:
        if not step.name.endswith(names):
            return step
        theirs = other.browser.ask(name=step.name, path=step.path, accept="*/*").headers.get("Cookie", "")
        return replace(step, headers={**step.headers, "Cookie": theirs})

    return meddle


def told(name: str, change: Callable[[Answer], Answer]) -> Callable[[Step, Answer], Answer]:
    return lambda step, answer: change(answer) if step.name.endswith(name) else answer


def instead(old: str, new: str) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=answer.body.replace(old.encode(), new.encode()))


def test_the_same_visits_without_a_lie_are_right(crowd: Crowd) -> None:
    for index, honest in enumerate((Cartful, Ordering, Looking, Browse)):
        seen = visit(honest(crowd, index))
        assert (seen.wrong, seen.gave_up) == ([], None)


def test_another_visitors_cart_is_found(crowd: Crowd) -> None:
    other = Cartful(crowd, 1)
    assert visit(other).wrong == []
    mine = Cartful(crowd, 3)
    found = visit(mine, meddle=taken_for(other, "cartful.cart"))
    assert found.gave_up == "cartful.cart"
    assert any("never put there" in wrong for wrong in found.wrong)
    badge = visit(Browse(crowd, 3), meddle=taken_for(other, "cart_badge"))
    assert badge.wrong[0] == "browse.cart_badge untrue: the badge says 1 pieces, this visitor's cart has 0"


def test_another_customers_order_history_is_found(crowd: Crowd) -> None:
    other, mine = Ordering(crowd, 1), Ordering(crowd, 2)
    assert visit(other).wrong == []
    found = visit(mine, meddle=taken_for(other, "ordering.history"))
    assert found.wrong == [
        f"ordering.history untrue: the history lists {other.orders}, this visitor ordered {mine.orders}"
    ]


def test_another_members_number_and_history_are_found(crowd: Crowd) -> None:
    other, mine = Looking(crowd, 1), Looking(crowd, 2)
    assert visit(other).wrong == []
    found = visit(mine, meddle=taken_for(other, "looking.fans"))
    assert found.wrong[0].startswith("looking.fans untrue: visitor 1 has the same club number")
    widget = visit(Looking(crowd, 3), meddle=taken_for(other, "iframe.recommended"))
    assert widget.wrong[0].startswith(
        "iframe.recommended untrue: the widget says this visitor has seen what they never"
    )


def test_somebody_elses_address_on_a_page_is_found(crowd: Crowd) -> None:
    leaked = told("home", instead("Departments", f"Welcome back, {crowd.email(8)}"))
    found = visit(Browse(crowd, 9), retell=leaked)
    assert found.wrong == [f"browse.home untrue: shows another visitor's address: {crowd.email(8)}"]
    own = told("home", instead("Departments", f"Welcome back, {crowd.email(9)}"))
    assert visit(Browse(crowd, 9), retell=own).wrong == []


def in_public_view(answer: Answer) -> Answer:
    return replace(answer, headers={**answer.headers, "cache-control": "public, max-age=60"})


def other_offers(answer: Answer) -> Answer:
    return replace(answer, body=answer.body.replace(b'"price": "', b'"price": "1'))


LIES: list[tuple[type[Visitor], str, Callable[[Answer], Answer], str]] = [
    (Looking, "looking.product", other_offers, "its cheapest offer 1"),
    (Looking, "looking.home", lambda answer: replace(answer, cookies=("a=b",)), "a public page sets a cookie"),
    (Looking, "looking.fans", in_public_view, "a private page may be stored by a cache"),
    (
        Looking,
        "looking.cart_badge",
        instead('"signed_in": true', '"signed_in": false'),
        "the badge says signed in: False",
    ),
    (Ordering, "ordering.order", instead("<tfoot><tr>", "<tfoot><tr><td><strong>9.99</strong>"), "the order costs 999"),
    (Ordering, "ordering.order", instead("Order ", "Oder "), "the page is not of order"),
    (Ordering, "ordering.checkout", instead('name="key"', 'name="kee"'), "the checkout has no key"),
    (
        Ordering,
        "resource.css",
        lambda answer: replace(answer, headers={"content-type": "text/html"}),
        "instead of text/css",
    ),
]


@pytest.mark.parametrize(("who", "where", "lie", "sentence"), LIES, ids=[f"{lie[1]}: {lie[3]}" for lie in LIES])
def test_a_lie_is_found(
    crowd: Crowd, who: type[Visitor], where: str, lie: Callable[[Answer], Answer], sentence: str
) -> None:
    found = visit(who(crowd, 1), retell=told(where, lie))
    assert any(wrong.startswith(f"{where} untrue") and sentence in wrong for wrong in found.wrong), found.wrong


def test_a_product_that_is_gone_is_a_failure_unless_the_data_moves(crowd: Crowd) -> None:
    def gone(step: Step) -> Step:
        return replace(step, path="/shop/p/gone/") if step.name == "cartful.product" else step

    found = visit(Cartful(crowd, 1), meddle=gone)
    assert (found.wrong, found.gave_up) == (
        ["cartful.product failure: status 404, expected 200"],
        "cartful.product",
    )
    crowd.moving = True
    allowed = visit(Cartful(crowd, 2), meddle=gone)
    assert (allowed.wrong, allowed.gave_up) == ([], None)
    assert "cartful.cart_add" not in allowed.names

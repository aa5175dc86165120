"""The shop as somebody new would use it, in a real browser: browse, filter, search with a typing error, log in, change,
check out, find the order in the history; two tabs, the back button, a double click."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.browser.conftest import Stage, Visitor, sync_api, until

pytestmark = pytest.mark.browser

PASSWORD = "four cranes over a lake"
CARD = ".cards .product"
expect = sync_api.expect if sync_api else None


@pytest.fixture(scope="module")
def shown(stage: Stage) -> dict[str, str]:
    """A shop with this product in it, and an index of it."""
    product: dict[str, str] = stage.do("open_shop", 20)
    until(lambda: found(stage, product["title"]), "the web server has an index with the product in it")
    return product


def found(stage: Stage, title: str) -> bool:
    try:
        with urlopen(f"{stage.url}/api/search?{urlencode({'q': title})}", timeout=10) as answer:
            return any(one["title"] == title for one in json.load(answer)["products"])
    except HTTPError:
        return False  # 503: the index is being made


def somebody() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def put_into_cart(page: Any, slug: str, pieces: int = 1) -> None:
    page.goto(f"/shop/p/{slug}/")
    page.get_by_role("spinbutton", name="Pieces").fill(str(pieces))
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("heading", name="Your cart")).to_be_visible()


def make_account(page: Any, address: str) -> None:
    """From the cart on: whoever is not logged in is led to where one does, and back."""
    page.get_by_role("link", name="To the checkout").click()
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("Email address").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()


def fill_in_address(page: Any) -> None:
    for label, text in (("Name", "Ada Crane"), ("Street", "Lake Road 4"), ("Postcode", "10115"), ("Town", "Berlin")):
        page.get_by_label(label).fill(text)
    page.get_by_label("Country").select_option("DE")


def order(page: Any) -> None:
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", name=re.compile("^Order "))).to_be_visible()


def test_somebody_new_finds_buys_and_sees_what_they_bought(stage: Stage, page: Any, shown: dict[str, str]) -> None:
    page.goto("/shop/")
    page.get_by_text("Departments", exact=True).first.click()
    page.get_by_label("Shop", exact=True).get_by_role("link", name=shown["shelf"]).click()
    expect(page.get_by_role("heading", name=shown["shelf"], exact=True)).to_be_visible()

    page.get_by_label("Order").select_option("price")
    page.get_by_label("from").fill("1")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?sort=price&low=1$"))  # an empty field is not in the address
    costs = [float(text.split("€")[1].split()[0].replace(",", "")) for text in page.locator(".cost").all_inner_texts()]
    assert costs == sorted(costs)

    words = shown["title"].split()
    mistyped = f"{words[-1][:-1]}{'x' if words[-1][-1] != 'x' else 'y'}"
    page.get_by_role("searchbox").or_(page.get_by_role("combobox", name="Search the shop")).fill(mistyped)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("This is shown for")).to_be_visible()
    page.locator(CARD, has_text=shown["title"]).first.click()
    expect(page.get_by_role("heading", name=shown["title"])).to_be_visible()

    put_into_cart(page, shown["slug"], pieces=3)
    page.get_by_label("Quantity of").fill("2")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Quantity of")).to_have_value("2")
    expect(page.get_by_role("link", name="Cart, 2 pieces")).to_be_visible()

    address = somebody()
    make_account(page, address)
    fill_in_address(page)
    total = page.locator("[data-total]").inner_text()
    order(page)
    assert stage.do("settle_payments") == 1
    expect(page.get_by_text("Your order is paid")).to_be_visible()  # the page looks again by itself
    page.goto("/shop/orders/")
    expect(page.locator("[data-order]")).to_have_count(1)
    expect(page.locator("[data-order]")).to_contain_text(total)
    assert stage.do("orders_of", address) == ["paid"]


def test_a_double_click_is_one_order(stage: Stage, visitor_with: Callable[..., Visitor], shown: dict[str, str]) -> None:
    page, address = visitor_with(java_script_enabled=False, viewport={"width": 360, "height": 740}).page, somebody()
    put_into_cart(page, shown["slug"])
    make_account(page, address)
    fill_in_address(page)
    page.get_by_role("button", name="Place the order").dblclick()
    expect(page.get_by_role("heading", name=re.compile("^Order "))).to_be_visible()
    assert stage.do("orders_of", address) == ["reserved"]


# Of two clicks in a row Chromium sends one form; an impatient phone, or a proxy that asks again, sends it more often.
THREE_AT_ONCE = """() => {
  const form = document.querySelector("form.checkout");
  const send = () => fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  return Promise.all([send(), send(), send()].map(async (answer) => [(await answer).status, (await answer).url]));
}"""


def test_a_form_that_is_sent_three_times_at_once_is_one_order(stage: Stage, page: Any, shown: dict[str, str]) -> None:
    address = somebody()
    put_into_cart(page, shown["slug"])
    make_account(page, address)
    fill_in_address(page)
    answers = page.evaluate(THREE_AT_ONCE)
    assert [status for status, _ in answers] == [200, 200, 200]
    assert len({url for _, url in answers}) == 1  # each was led to the same order
    assert "/shop/orders/" in answers[0][1]
    assert stage.do("orders_of", address) == ["reserved"]


def test_the_back_button_and_a_second_tab_order_nothing_twice(
    stage: Stage, visitor_with: Callable[..., Visitor], shown: dict[str, str]
) -> None:
    page, address = visitor_with().page, somebody()
    second = page.context.new_page()
    second.goto("/shop/")
    put_into_cart(page, shown["slug"])
    second.bring_to_front()
    second.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # a browser without a window tells none
    expect(second.get_by_role("link", name="Cart, 1 piece")).to_be_visible()

    page.bring_to_front()
    make_account(page, address)
    fill_in_address(page)
    second.goto("/shop/checkout/")
    order(page)
    page.go_back()
    expect(page.get_by_role("heading", name=re.compile("Checkout|Your cart"))).to_be_visible()
    again = page.get_by_role("button", name="Place the order")
    if again.count():
        again.click()
        expect(page.get_by_role("heading", name=re.compile("^Order |Your cart"))).to_be_visible()
    fill_in_address(second)  # another form, so another key; the cart it was made for is ordered
    second.get_by_role("button", name="Place the order").click()
    expect(second.get_by_role("alert")).to_contain_text("There is nothing in your cart to order")
    assert stage.do("orders_of", address) == ["reserved"]


def test_a_price_that_rose_meanwhile_is_shown_before_it_is_paid(stage: Stage, page: Any, shown: dict[str, str]) -> None:
    address = somebody()
    put_into_cart(page, shown["slug"])
    make_account(page, address)
    before = page.locator("[data-total]").inner_text()
    fill_in_address(page)
    stage.do("make_dearer", shown["slug"], 100)
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert")).to_contain_text("Something has changed")
    expect(page.locator("[data-total]")).not_to_have_text(before)
    assert stage.do("orders_of", address) == []


def test_suggestions_are_chosen_with_the_keys(page: Any, shown: dict[str, str]) -> None:
    page.goto("/shop/")
    field = page.get_by_role("combobox", name="Search the shop")
    word = shown["title"].split()[-1]

    field.press_sequentially(word[:4].lower())
    expect(page.get_by_role("option").first).to_be_visible()
    field.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_have_count(1)
    field.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    field.press_sequentially(word[4:5].lower())
    expect(page.get_by_role("option").first).to_be_visible()
    field.press("ArrowDown")
    chosen = page.get_by_role("option", selected=True).inner_text()
    field.press("Enter")
    expect(page).to_have_url(f"/shop/search/?{urlencode({'q': chosen})}")


def test_no_page_is_wider_than_a_phone(visitor_with: Callable[..., Visitor], shown: dict[str, str]) -> None:
    page = visitor_with(viewport={"width": 360, "height": 740}).page
    put_into_cart(page, shown["slug"])
    make_account(page, somebody())
    wide = {}
    for path in (
        "/shop/",
        f"/shop/c/{shown['category']}/",
        f"/shop/p/{shown['slug']}/",
        "/shop/search/?q=wool",
        "/shop/deals/",
        "/shop/events/",
        "/shop/cart/",
        "/shop/checkout/",
        "/shop/orders/",
        "/shop/fans/",
        "/account/",
        "/account/addresses/",
        "/account/password/",
    ):
        page.goto(path)
        wide[path] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in wide.items() if width > 360} == {}

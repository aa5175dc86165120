"""The shop as somebody new would use it, in a real browser: browse, filter, search with a typing error, log in, change,
check out, find the order in the history; two tabs, the back button, a second press; every page on a phone; without
script, without a mouse."""

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

from tests.browser.accessibility import FAINT, UNNAMED, in_order, tab_to
from tests.browser.conftest import Stage, Visitor, sync_api, until

pytestmark = pytest.mark.browser

PASSWORD = "four cranes over a lake"
CARD = ".cards .product"
SMALL_PHONE = {"width": 360, "height": 740}
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


def log_out(page: Any) -> None:
    page.goto("/account/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/shop/")


def log_in(page: Any, address: str) -> None:
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Email address").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


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

    log_out(page)
    page.goto("/shop/orders/")
    log_in(page, address)
    expect(page.locator("[data-order]")).to_contain_text(total)


def test_ordering_takes_no_script(stage: Stage, visitor_with: Callable[..., Visitor], shown: dict[str, str]) -> None:
    page, address = visitor_with(java_script_enabled=False, viewport=SMALL_PHONE).page, somebody()
    page.goto(f"/shop/c/{shown['category']}/")
    page.get_by_text("Filter and sort").click()
    page.get_by_label("Order").select_option("new")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?sort=new&"))
    page.get_by_label("Search the shop").fill(shown["title"])
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(CARD, has_text=shown["title"]).first.click()
    expect(page.frame_locator(".recommended").get_by_role("heading").first).to_contain_text("Popular in")
    put_into_cart(page, shown["slug"])
    make_account(page, address)
    fill_in_address(page)
    order(page)
    assert stage.do("settle_payments") == 1
    expect(page.get_by_text("Your order is paid")).to_be_visible()  # the page looks again by itself
    assert stage.do("orders_of", address) == ["paid"]


@pytest.mark.parametrize("script", ["once.js", "no script"])
def test_a_second_press_while_the_first_is_under_way_sends_nothing(
    page: Any, shown: dict[str, str], script: str
) -> None:
    """Without the script a second press sends the form again."""
    if script != "once.js":
        page.route(re.compile(r"/once[^/]*\.js$"), lambda route: route.fulfill(body="", content_type="text/javascript"))
    put_into_cart(page, shown["slug"])
    make_account(page, somebody())
    fill_in_address(page)
    page.wait_for_load_state("load")  # modules have run
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request) if is_sent(request) else None)
    # 204: the page stays as it is while its answer is on the way.
    page.route("**/shop/checkout/", lambda route: route.fulfill(status=204))
    button = page.get_by_role("button", name="Place the order")
    with page.expect_request(is_sent):
        button.click()
    if script == "once.js":
        expect(button).to_have_attribute("aria-disabled", "true")
        button.click(force=True)
        page.evaluate("fetch('/healthz').then((answer) => answer.status)")
        assert len(sent) == 1
    else:
        expect(button).not_to_have_attribute("aria-disabled", "true")
        with page.expect_request(is_sent):
            button.click()
        assert len(sent) == 2


def is_sent(request: Any) -> bool:
    return bool(request.method == "POST" and request.url.endswith("/shop/checkout/"))


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
    expect(page.get_by_role("heading", name="Your cart")).to_be_visible()  # the form is made anew, and there is none
    expect(page).to_have_url(re.compile("/shop/cart/$"))
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


def test_every_page_of_the_shop_on_a_small_phone_light_and_dark(
    visitor_with: Callable[..., Visitor], shown: dict[str, str]
) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    for path in ("/account/login/", "/account/signup/", "/shop/cart/", "/shop/p/nowhere/"):
        in_order(page, path)
    put_into_cart(page, shown["slug"])
    make_account(page, somebody())
    in_order(page, "/shop/checkout/")
    fill_in_address(page)
    order(page)
    in_order(page, page.url)
    put_into_cart(page, shown["slug"])
    page.goto("/account/addresses/")
    path_of_address = page.get_by_role("link", name=re.compile("^Change Ada")).get_attribute("href")
    for path in (
        "/shop/",
        f"/shop/c/{shown['category']}/",
        f"/shop/c/{shown['category']}/?low=nine",
        f"/shop/p/{shown['slug']}/",
        "/shop/search/?q=wool",
        "/shop/search/?q=zzzzzzzz",
        "/shop/deals/",
        "/shop/events/",
        "/shop/events/winter-market/",
        "/shop/cart/",
        "/shop/checkout/",
        "/shop/orders/",
        "/shop/fans/",
        "/account/",
        "/account/addresses/",
        path_of_address,
        "/account/password/",
    ):
        in_order(page, path)
    # The control: the last page, with letters that are too faint to be found and a field that nobody has named.
    page.evaluate("document.querySelector('h1').style.color = '#aaa'")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert len(page.evaluate(FAINT)) == 1
    assert page.evaluate(UNNAMED) == ["<input>"]


def test_the_frame_is_legible_and_shows_that_it_goes_on(
    visitor_with: Callable[..., Visitor], shown: dict[str, str]
) -> None:
    """On a phone a third card is cut by the edge."""
    page = visitor_with(viewport=SMALL_PHONE).page
    page.goto(f"/shop/recommended/{shown['slug']}/")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT) == []
    assert page.evaluate(UNNAMED) == []
    first = page.locator(".cards > li").first.bounding_box()
    gap = float(page.locator(".cards").first.evaluate("list => parseFloat(getComputedStyle(list).columnGap)"))
    third = first["x"] + 2 * (first["width"] + gap)
    assert third + 30 < SMALL_PHONE["width"] < third + first["width"]


def test_buying_takes_no_mouse(page: Any, shown: dict[str, str]) -> None:
    page.goto(f"/shop/p/{shown['slug']}/")
    tab_to(page, "Skip to the content", most=1)
    page.keyboard.press("Enter")
    chosen = page.locator("[name=variant]:checked")
    before = chosen.get_attribute("value")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.name") != "variant":
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body"), "no variant is reached"
    page.keyboard.press("ArrowDown")
    assert chosen.get_attribute("value") != before
    tab_to(page, "Pieces")
    tab_to(page, "Add to cart", most=1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your cart")).to_be_visible()
    tab_to(page, "To the checkout")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()

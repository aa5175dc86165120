"""Every page: nothing the content security policy refuses, no sideways scrolling on a small phone, a name for
everything that can be used, and no cookie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.browser.accessibility import UNNAMED, in_order
from tests.browser.conftest import Stage, Visitor, sync_api
from tests.browser.test_journey import BTC, ETH, enter, seen, sign_up, somebody

pytestmark = pytest.mark.browser

SMALL_PHONE = {"width": 360, "height": 640}


def invited(stage: Stage, page: Any) -> str:
    """Sign somebody up and invite them; the page stays at their place in line. Returns their email address."""
    address = somebody()
    sign_up(page, address)
    stage.do("number")
    stage.do("invite")
    return address


@contextmanager
def closed(stage: Stage) -> Iterator[None]:
    stage.do("close", -0.001)
    try:
        yield
    finally:
        stage.do("close", 24)


def reload_until(page: Any, text: str) -> None:
    for _ in range(20):
        page.reload()
        if page.get_by_text(text).first.is_visible():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"never seen: {text}")


def test_every_page_of_the_sale_on_a_small_phone(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    address = somebody()
    in_order(page, "/")
    sign_up(page, address)
    line = page.url
    stage.do("number")
    seen(page, "Your position")
    in_order(page, line)
    stage.do("invite")
    in_order(page, line)
    terms = stage.link_mailed_to(address, "/i/")
    in_order(page, terms)
    page.get_by_label("I have read version").check()
    page.get_by_role("button", name="Accept and continue").click()
    in_order(page, f"{terms}wallet/")
    page.get_by_label("Bitcoin address").fill(BTC)
    page.get_by_label("Ethereum address").fill(ETH)
    page.get_by_role("button", name="Save").click()
    seen(page, "Waiting for your payment")
    in_order(page, f"{terms}payment/")
    in_order(page, line)
    assert page.context.cookies() == []


@pytest.mark.parametrize(("url", "status"), [("/nowhere", 404), ("/signup/", 405), ("/line/forged/", 404)])
def test_error_pages_are_pages(visitor_with: Callable[..., Visitor], url: str, status: int) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    in_order(page, url)
    assert page.get_by_text(f"Error {status}").is_visible()


def test_the_deposit_address_can_be_copied(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(permissions=["clipboard-read", "clipboard-write"]).page
    address = invited(stage, page)
    enter(stage, page, address)
    page.get_by_role("button", name="Copy the bitcoin address").click()
    sync_api.expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#BTC-address").inner_text()


def test_a_filled_allowance_asks_for_no_more(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    address = invited(stage, page)
    enter(stage, page, address)
    assert page.locator(".qr").first.is_visible()
    stage.do("pay", "BTC", page.locator("#BTC-address").inner_text(), 1_111_112)
    stage.do("mine", "BTC", 3)
    sync_api.expect(page.get_by_text("Your allowance is filled.")).to_be_visible()
    for again in (False, True):
        if again:
            in_order(page, page.url)
        seen(page, "Paid and credited")
        assert page.get_by_text("Your allowance is filled.").is_visible()
        assert not page.locator(".qr").first.is_visible()
        assert not page.get_by_text("Amount that fills").first.is_visible()


def test_when_the_time_to_pay_is_over_the_page_says_that_and_not_that_it_is_filled(
    stage: Stage, visitor_with: Callable[..., Visitor]
) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    address = invited(stage, page)
    line = page.url
    link = enter(stage, page, address)
    stage.do("let_lapse", address)
    stage.do("pay", "BTC", page.locator("#BTC-address").inner_text(), 400_000)
    stage.do("mine", "BTC", 3)
    in_order(page, f"{link}payment/")
    seen(page, "A person looks at your payment")
    assert page.get_by_text("The time to pay is over.").is_visible()
    assert not page.get_by_text("Your allowance is filled.").is_visible()
    assert not page.locator(".qr").first.is_visible()
    in_order(page, line)
    seen(page, "Your invitation has ended")


def test_an_invitation_that_was_not_used_in_time(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    address = invited(stage, page)
    line = page.url
    stage.do("let_lapse", address)
    in_order(page, stage.link_mailed_to(address, "/i/"))
    seen(page, "This invitation has ended")
    in_order(page, line)
    seen(page, "Your invitation has ended")
    assert page.get_by_role("link", name="Sign up again").is_visible()


def test_a_place_that_was_left_stays_left(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    sign_up(page, somebody())
    line = page.url
    stage.do("number")
    seen(page, "Your position")
    page.get_by_text("Leave the line").click()
    page.get_by_role("button", name="Yes, give up my place").click()
    in_order(page, line)
    seen(page, "You have left the line")


def test_when_the_sale_closes_those_in_line_are_told_without_a_reload(
    stage: Stage, visitor_with: Callable[..., Visitor]
) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    stage.do("close", 0.0022)  # some eight seconds
    try:
        page.goto("/")
        page.wait_for_timeout(1200)  # the web process remembers the sale for a second
        sign_up(page, somebody())
        line = page.url
        stage.do("number")
        seen(page, "Your position")
        page.wait_for_timeout(7000)
        assert stage.do("invite") == 0
        seen(page, "The sale has closed")
        assert not page.get_by_text("What happens next").is_visible()
        in_order(page, line)
        seen(page, "The sale has closed")
        in_order(page, "/")
        assert page.get_by_text("The sale is over").is_visible()
        assert page.get_by_label("Your email address").count() == 0
    finally:
        stage.do("close", 24)
    reload_until(page, "Take my place in line")


def test_a_signup_after_the_end_is_told_so(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    visitor = visitor_with(viewport=SMALL_PHONE)
    page = visitor.page
    page.goto("/")
    page.get_by_label("Your email address").fill(somebody())
    with closed(stage):
        page.wait_for_timeout(1200)
        page.get_by_role("button", name="Take my place in line").click()
        seen(page, "The line is closed")
    page.goto("/")
    reload_until(page, "Take my place in line")


def test_when_the_database_is_away_a_signup_gets_a_calm_page(
    stage: Stage, visitor_with: Callable[..., Visitor]
) -> None:
    visitor = visitor_with(viewport=SMALL_PHONE)
    page = visitor.page
    page.goto("/")
    page.get_by_label("Your email address").fill(somebody())
    stage.do("take_away", "ico_entrant")
    try:
        page.get_by_role("button", name="Take my place in line").click()
        sync_api.expect(page.get_by_text("Error 503")).to_be_visible()
        seen(page, "Not available just now")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    finally:
        stage.do("put_back", "ico_entrant")
    assert all("status of 503" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


def test_moments_on_the_page_say_their_time_zone(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(timezone_id="America/New_York", locale="en-GB").page
    page.goto("/")
    assert re.search(r"GMT-[45]|E[SD]T", page.locator(".facts time").first.inner_text())
    sign_up(page, somebody())
    stage.do("number")
    sync_api.expect(page.locator("[data-pulse]")).to_have_text(re.compile(r"(GMT-[45]|E[SD]T), kept up to date"))


def at_the_panel(page: Any) -> None:
    page.goto("/ops/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("operator")
    page.get_by_role("button", name="Log in").click()
    sync_api.expect(page.locator(".plot canvas")).to_have_count(6)


def test_the_operators_panel_draws_its_plots(stage: Stage, page: Any) -> None:
    stage.do("invite")
    at_the_panel(page)
    sync_api.expect(page.locator('[data-rows="decisions"] tr').first).to_be_visible()
    sync_api.expect(page.locator('[data-fill="verdict"]')).not_to_have_text("Reading…")


def test_the_panel_says_why_nobody_is_invited_with_the_figures(
    stage: Stage, visitor_with: Callable[..., Visitor]
) -> None:
    page = visitor_with(viewport=SMALL_PHONE).page
    stage.do("fill", 30, 1.2)
    try:
        at_the_panel(page)
        verdict = re.compile(r"Nobody is being invited: the chain's load (0\.9\d|1\.00) is above 0\.90")
        sync_api.expect(page.locator('[data-fill="verdict"]')).to_have_text(verdict)
        since = re.compile(r"^Since \d\d:\d\d:\d\d")
        sync_api.expect(page.locator('[data-fill="verdict-detail"]')).to_have_text(since)
        sync_api.expect(page.locator('[data-fill="gate"]')).to_have_text("closed")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.evaluate(UNNAMED) == []
    finally:
        stage.do("fill", 30, 0.4)
    sync_api.expect(page.locator('[data-fill="gate"]')).to_have_text("open")


MARKUP = """<img/src=x/onerror=document.title='taken'><script>document.title='taken'</script>&lt;b&gt;"""


def test_what_a_node_says_is_shown_as_it_is_and_never_run(stage: Stage, page: Any) -> None:
    stage.do("trouble", "ETH", MARKUP)
    at_the_panel(page)
    for place in ('[data-list="alarms"] li', '[data-rows="chains"] td'):
        told = page.locator(place, has_text="onerror").first
        sync_api.expect(told).to_contain_text(MARKUP)
        assert told.locator("img, script, b").count() == 0
    assert page.title().startswith("Operations")
    # The control: a page that took the words for HTML would have made elements of them.
    read_as_html = "words => new DOMParser().parseFromString(words, 'text/html').querySelectorAll('img, script').length"
    assert page.evaluate(read_as_html, MARKUP) == 2

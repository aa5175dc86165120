"""Every page: nothing the content security policy refuses, no sideways scrolling on a small phone, a name for
everything that can be used, and no cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Stage, Visitor, sync_api
from tests.browser.test_journey import BTC, ETH, seen, sign_up, somebody

pytestmark = pytest.mark.browser

SMALL_PHONE = {"width": 360, "height": 640}
_UNNAMED = """() => [...document.querySelectorAll("input:not([type=hidden]), button, a, svg[role=img], progress")]
  .filter((element) => !(element.labels?.length || element.textContent.trim() || element.ariaLabel
    || element.getAttribute("aria-labelledby") || element.querySelector("title")))
  .map((element) => element.outerHTML)"""


def in_order(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, url
    assert page.evaluate(_UNNAMED) == [], url
    assert page.locator("h1:visible").count() == 1, url
    assert page.locator("main").count() == 1, url
    assert page.title(), url
    assert page.evaluate("document.documentElement.lang") == "en", url


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
    address = somebody()
    sign_up(page, address)
    stage.do("number")
    stage.do("invite")
    page.goto(stage.link_mailed_to(address, "/i/"))
    page.get_by_label("I have read version").check()
    page.get_by_role("button", name="Accept and continue").click()
    page.get_by_label("Bitcoin address").fill(BTC)
    page.get_by_label("Ethereum address").fill(ETH)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Copy the bitcoin address").click()
    sync_api.expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#BTC-address").inner_text()


def test_the_operators_panel_draws_its_plots(stage: Stage, page: Any) -> None:
    stage.do("invite")
    page.goto("/ops/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("operator")
    page.get_by_role("button", name="Log in").click()
    sync_api.expect(page.locator(".plot canvas")).to_have_count(5)
    sync_api.expect(page.locator('[data-rows="decisions"] tr').first).to_be_visible()
    sync_api.expect(page.locator('[data-fill="verdict"]')).not_to_have_text("Reading…")

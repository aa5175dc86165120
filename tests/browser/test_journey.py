"""From the landing page to a paid allowance, in a real browser, with and without script."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Stage, Visitor, sync_api

pytestmark = pytest.mark.browser

BTC = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def somebody() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def sign_up(page: Any, address: str) -> None:
    page.goto("/")
    page.get_by_label("Your email address").fill(address)
    page.get_by_role("button", name="Take my place in line").click()
    page.wait_for_url(re.compile(r"/line/"))


def seen(page: Any, text: str) -> None:
    sync_api.expect(page.get_by_role("heading", name=text)).to_be_visible(timeout=20_000)


def enter(stage: Stage, page: Any, address: str) -> str:
    """From the invitation to the payment page; returns the invitation's link."""
    link = stage.link_mailed_to(address, "/i/")
    page.goto(link)
    page.get_by_label("I have read version").check()
    page.get_by_role("button", name="Accept and continue").click()
    page.get_by_label("Bitcoin address").fill(BTC)
    page.get_by_label("Ethereum address").fill(ETH)
    page.get_by_role("button", name="Save").click()
    seen(page, "Waiting for your payment")
    return link


def test_the_whole_journey_without_a_reload_where_something_changes(stage: Stage, page: Any) -> None:
    address = somebody()
    sign_up(page, address)
    loads = _count_loads(page)
    stage.do("number")
    seen(page, "Your position")
    sync_api.expect(page.locator('[data-fill="position"]')).to_have_text(re.compile(r"^\d+$"))
    assert stage.do("invite") >= 1
    seen(page, "It is your turn")
    assert loads == []

    page.goto(stage.link_mailed_to(address, "/i/"))
    page.get_by_role("button", name="Accept and continue").click()
    sync_api.expect(page.get_by_text("Please tick the box to accept the terms.")).to_be_visible()
    page.get_by_label("I have read version").check()
    page.get_by_role("button", name="Accept and continue").click()

    page.get_by_label("Bitcoin address").fill(BTC[:-1] + "x")
    page.get_by_label("Ethereum address").fill(ETH)
    page.get_by_role("button", name="Save").click()
    bitcoin = page.get_by_label("Bitcoin address")
    sync_api.expect(bitcoin).to_have_attribute("aria-invalid", "true")
    sync_api.expect(page.get_by_label("Ethereum address")).to_have_value(ETH)
    bitcoin.fill(BTC)
    page.get_by_role("button", name="Save").click()

    seen(page, "Waiting for your payment")
    loads = _count_loads(page)
    deposit = page.locator("#BTC-address").inner_text()
    stage.do("pay", "BTC", deposit, 1_000_000)
    seen(page, "Your payment was seen")
    stage.do("mine", "BTC", 1)
    seen(page, "Your payment is being confirmed")
    sync_api.expect(page.locator('[data-chain="BTC"] [data-deposit="depth"]')).to_have_text("1")
    stage.do("mine", "BTC", 2)
    seen(page, "Paid and credited")
    sync_api.expect(page.locator('[data-allowance="credited"]')).to_have_text("900")
    assert loads == []


def _count_loads(page: Any) -> list[str]:
    page.wait_for_load_state("load")  # the text may be seen before the page's own loading is over
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    return loads


def test_the_whole_journey_without_script(stage: Stage, visitor_with: Callable[..., Visitor]) -> None:
    page = visitor_with(java_script_enabled=False).page
    address = somebody()
    sign_up(page, address)
    stage.do("number")
    seen(page, "Your position")  # the page reloads itself
    stage.do("invite")
    seen(page, "It is your turn")
    enter(stage, page, address)
    stage.do("pay", "ETH", page.locator("#ETH-address").inner_text(), 10**17)
    seen(page, "Your payment was seen")
    stage.do("mine", "ETH", 12)
    seen(page, "Paid and credited")


def test_the_payment_page_says_while_a_chain_cannot_be_seen(stage: Stage, page: Any) -> None:
    """A follower that is away knows of no payment, and that is not the same as that there is none."""
    address = somebody()
    sign_up(page, address)
    stage.do("number")
    stage.do("invite")
    enter(stage, page, address)
    loads = _count_loads(page)
    blind, nothing = page.locator(".notice[data-sight]"), page.get_by_text("Nothing has arrived yet.")
    stage.do("mine", "BTC", 0)
    sync_api.expect(nothing).to_be_visible()
    sync_api.expect(blind).to_be_hidden()
    stage.do("blind", "BTC")
    sync_api.expect(blind).to_contain_text("We cannot see Bitcoin just now. A payment there is not lost")
    sync_api.expect(nothing).to_be_hidden()
    sync_api.expect(page.get_by_text("Nothing had arrived when we last looked.")).to_be_visible()
    sync_api.expect(page.locator("[data-announce]")).to_contain_text("We cannot see Bitcoin just now.")
    sync_api.expect(page.locator("[data-pulse]")).not_to_contain_text("kept up to date")
    stage.do("blind", "ETH")
    sync_api.expect(blind).to_contain_text("We cannot see Bitcoin and Ethereum just now.")
    stage.do("mine", "BTC", 0)
    sync_api.expect(blind).to_be_hidden()
    sync_api.expect(nothing).to_be_visible()
    sync_api.expect(page.locator("[data-pulse]")).to_contain_text("kept up to date")
    assert loads == []


def test_signing_up_takes_no_mouse(page: Any) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "email"
    page.keyboard.type(somebody())
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/line/"))


def test_a_bad_email_is_explained_where_it_was_typed(page: Any) -> None:
    page.goto("/")
    page.get_by_label("Your email address").fill("nobody@@example.org")
    page.keyboard.press("Enter")
    field = page.get_by_label("Your email address")
    sync_api.expect(field).to_have_attribute("aria-invalid", "true")
    sync_api.expect(field).to_be_focused()
    sync_api.expect(field).to_have_value("nobody@@example.org")


def test_leaving_the_line(stage: Stage, page: Any) -> None:
    sign_up(page, somebody())
    stage.do("number")
    seen(page, "Your position")
    page.get_by_text("Leave the line").click()
    page.get_by_role("button", name="Yes, give up my place").click()
    seen(page, "You have left the line")


def test_the_waiting_page_stays_calm_when_the_server_does_not_answer(
    stage: Stage, visitor_with: Callable[..., Visitor]
) -> None:
    visitor = visitor_with()
    page = visitor.page
    sign_up(page, somebody())
    stage.do("number")
    seen(page, "Your position")
    page.route("**/api/position/**", lambda route: route.abort())
    trouble = page.locator("[data-trouble]")
    sync_api.expect(trouble).to_contain_text("your place is safe")
    sync_api.expect(page.locator('[data-fill="position"]')).to_be_visible()
    page.unroute("**/api/position/**")
    sync_api.expect(trouble).to_be_hidden(timeout=20_000)
    assert all("net::ERR_FAILED" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()

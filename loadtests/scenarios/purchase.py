"""Somebody opens the invitation in their mail, takes part, and watches for the payment."""

import re
from typing import Any

from loadtests.crowd import NobodyInvited
from loadtests.scenarios.visitor import JSON, PAGE, GaveUp, Visitor, claim, json_object, page
from loadtests.target import ForeignHost

STATES = {"awaiting", "seen", "confirming", "paid", "review"}
POLL_SECONDS = 30.0
POLLS = 10
_AMOUNT = re.compile(r"\d+(\.\d+)?")


class Purchase(Visitor):
    def arrive(self) -> None:
        self.deposits: dict[str, str] | None = None

    def journey(self) -> None:
        self.open_the_link_in_the_mail()
        self.think(3, 5)
        self.accept_the_terms()
        self.think(3, 5)
        self.enter_wallets()
        self.see_where_to_pay()
        self.poll(self.look_for_the_payment, every=POLL_SECONDS, times=POLLS)

    def open_the_link_in_the_mail(self) -> None:
        try:
            self.invitation = self.crowd.take_link()
        except (NobodyInvited, ForeignHost) as error:
            raise GaveUp(str(error)) from error
        with self.step("purchase.invitation", "GET", self.invitation, status=200, headers=PAGE) as answer:
            claim(f'action="{self.invitation}terms/"' in page(answer), "the invitation has no form to accept the terms")
            self.check_private(answer)

    def accept_the_terms(self) -> None:
        form = {"accept": "on"}
        with self.step("purchase.terms", "POST", f"{self.invitation}terms/", status=303, data=form) as answer:
            self.check_leads_to(answer, "wallet/")
        with self.step("purchase.wallet_page", "GET", f"{self.invitation}wallet/", status=200, headers=PAGE) as answer:
            claim('name="btc_address"' in page(answer), "the wallet page has no field for the Bitcoin address")
            self.check_private(answer)

    def enter_wallets(self) -> None:
        mine = self.crowd.wallets(self.index)
        form = {"btc_address": mine.btc, "eth_address": mine.eth}
        with self.step("purchase.wallet", "POST", f"{self.invitation}wallet/", status=303, data=form) as answer:
            self.check_leads_to(answer, "payment/")

    def see_where_to_pay(self) -> None:
        where = f"{self.invitation}payment/"
        with self.step("purchase.payment_page", "GET", where, status=200, headers=PAGE) as answer:
            self.payment_page = page(answer)
            self.check_private(answer)

    def look_for_the_payment(self) -> bool:
        token = self.invitation.strip("/").rpartition("/")[2]
        with self.step("purchase.payment", "GET", f"/api/payment/{token}", status=200, headers=JSON) as answer:
            self.check_payment(json_object(answer))
        return False  # the page is watched for five minutes, whatever it says

    def check_payment(self, payment: dict[str, Any]) -> None:
        claim(payment.get("state") in STATES, f"unknown state {payment.get('state')!r}")
        claim(isinstance(payment.get("allowance"), dict), "no allowance")
        rows = payment.get("deposits")
        claim(isinstance(rows, list) and all(isinstance(row, dict) for row in rows), "deposits are no list of objects")
        rows = list(rows or [])
        claim(sorted(str(row.get("chain")) for row in rows) == ["BTC", "ETH"], "not one deposit address on each chain")
        for row in rows:
            amounts = row.get("seen"), row.get("confirmed")
            claim(all(isinstance(a, str) and _AMOUNT.fullmatch(a) for a in amounts), f"amounts {amounts!r}")
        self.check_addresses({str(row["chain"]): str(row.get("address")) for row in rows})

    def check_addresses(self, addresses: dict[str, str]) -> None:
        mine = self.crowd.wallets(self.index)
        claim(self.deposits in (None, addresses), "the deposit addresses changed")
        for chain, address in addresses.items():
            claim(address in self.payment_page, f"the payment page does not show the {chain} address of the API")
            claim(address not in (mine.btc, mine.eth), f"the {chain} deposit address is the visitor's own wallet")
            other = self.crowd.other_owner(address, self.index)
            claim(other is None, f"visitor {other} was given the same {chain} address")
        self.deposits = addresses

    def check_leads_to(self, answer: Any, step: str) -> None:
        location = answer.headers.get("location", "")
        try:
            path = self.crowd.target.path_of(location)
        except ForeignHost as error:
            claim(False, f"redirected off the target: {error}")
        claim(path == f"{self.invitation}{step}", f"redirected to {path_without_token(path)} instead of {step}")

    def check_private(self, answer: Any) -> None:
        claim("no-store" in answer.headers.get("cache-control", ""), "a private page may be stored by a cache")


def path_without_token(path: str) -> str:
    return re.sub(r"^/i/[^/]+/", "/i/…/", path)

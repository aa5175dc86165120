"""Somebody opens the invitation in their mail, takes part, and watches for the payment."""

import re
from collections.abc import Generator
from typing import Any

from loadtests.crowd import NobodyInvited
from loadtests.scenarios.visitor import Visitor, json_object, page_text
from loadtests.steps import Answer, Check, GaveUp, Journey, claim
from loadtests.target import ForeignHost

STATES = {"awaiting", "seen", "confirming", "paid", "review"}
POLL_SECONDS = 30.0
POLLS = 10
_AMOUNT = re.compile(r"\d+(\.\d+)?")


class Purchase(Visitor):
    __slots__ = ("deposits", "invitation", "payment_page")
    NAME = "purchase"
    JOURNEY_SECONDS = 2 * 5.0 + POLLS * POLL_SECONDS

    def journey(self) -> Journey:
        self.deposits: dict[str, str] | None = None
        self.invitation = self.link_in_the_mail()
        yield from self.page("purchase.invitation", self.invitation, check=self.check_invitation)
        yield from self.think(3, 5)
        yield from self.accept_the_terms()
        yield from self.think(3, 5)
        yield from self.enter_wallets()
        yield from self.page("purchase.payment_page", f"{self.invitation}payment/", check=self.check_payment_page)
        yield from self.poll(self.look_for_the_payment, every=POLL_SECONDS, times=POLLS)

    def link_in_the_mail(self) -> str:
        try:
            return self.crowd.take_link(self.index)
        except (NobodyInvited, ForeignHost) as error:
            raise GaveUp(str(error)) from error

    def my_email(self) -> str:
        """Who took the place in line: a visitor of an earlier run, as a rule. Unknown where links come from a file."""
        invitation = self.crowd.links.get(self.index)
        return (invitation.to if invitation else "") or super().my_email()

    def accept_the_terms(self) -> Journey:
        form, leads = {"accept": "on"}, self.leads_to("wallet/")
        yield from self.post("purchase.terms", f"{self.invitation}terms/", form, expect=(303,), check=leads)
        yield from self.page("purchase.wallet_page", f"{self.invitation}wallet/", check=self.check_wallet_page)

    def enter_wallets(self) -> Journey:
        mine = self.crowd.wallets(self.index)
        form, leads = {"btc_address": mine.btc, "eth_address": mine.eth}, self.leads_to("payment/")
        yield from self.post("purchase.wallet", f"{self.invitation}wallet/", form, expect=(303,), check=leads)

    def look_for_the_payment(self) -> Generator[Any, Any, bool]:
        token = self.invitation.strip("/").rpartition("/")[2]
        yield from self.get("purchase.payment", f"/api/payment/{token}", check=self.check_payment)
        return False  # the page is watched for five minutes, whatever it says

    def check_invitation(self, answer: Answer) -> None:
        form = f'action="{self.invitation}terms/"'
        claim(form in page_text(answer), "the invitation has no form to accept the terms")
        check_private(answer)

    def check_wallet_page(self, answer: Answer) -> None:
        claim('name="btc_address"' in page_text(answer), "the wallet page has no field for the Bitcoin address")
        check_private(answer)

    def check_payment_page(self, answer: Answer) -> None:
        self.payment_page = page_text(answer)
        check_private(answer)

    def check_payment(self, answer: Answer) -> None:
        payment = json_object(answer)
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
        if self.deposits is None:
            self.crowd.told_deposits(index=self.index, addresses=addresses)
        self.deposits = addresses

    def leads_to(self, step: str) -> Check:
        def check(answer: Answer) -> None:
            path = self.follow(answer)
            claim(path == f"{self.invitation}{step}", f"redirected to {path_without_token(path)} instead of {step}")

        return check


def check_private(answer: Answer) -> None:
    claim("no-store" in answer.headers.get("cache-control", ""), "a private page may be stored by a cache")


def path_without_token(path: str) -> str:
    return re.sub(r"^/i/[^/]+/", "/i/…/", path)

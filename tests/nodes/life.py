"""One participant with an address on one chain, a player who pays there, and a follower that is stepped by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

from ico import caps, payments
from ico.deposits import Followed, Follower
from ico.models import ChainCursor, Deposit, Invitation, LedgerEntry, Sale
from tests.ico.people import address_of, joined
from tests.nodes.players import Key, Player
from tests.nodes.world import STRANGER, rate_of

REQUIRED = 3
USUAL = {"ETH": 10**17 + 1, "BTC": 500_001}  # 300.00 on either chain, and a bit that is worth no cent


class Life:
    def __init__(self, player: Player, *, sale: Sale, now: datetime) -> None:
        self.player, self.now, self.chain = player, now, player.chain
        self.person = joined(sale=sale, now=now)
        self.address = address_of(self.person, self.chain).lower()
        self.stranger = STRANGER[self.chain]
        self.amount = USUAL[self.chain]
        player.prepare([self.address])
        player.mine(2)
        self.restart_follower()
        self.step()

    def restart_follower(self) -> None:
        self.follower = Follower(self.player.client())

    def step(self, *, later: timedelta = timedelta(seconds=1)) -> Followed:
        self.now += later
        return self.follower.step(self.now)

    def mine(self, count: int = 1) -> None:
        """And follow."""
        self.player.mine(count)
        self.step()

    def pay(self, amount: int | None = None) -> str:
        """And follow: it is seen."""
        (txid,) = self.player.pay([(self.address, self.amount if amount is None else amount)])
        self.step()
        return txid

    def pay_and_credit(self) -> str:
        txid = self.pay()
        self.mine(REQUIRED)
        assert self.standing() == ("paid", 30_000)
        return txid

    # --- what is known of it ------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """By txid: the state, and in review why."""
        rows = Deposit.objects.values_list("txid", "state", "review")
        return {txid: review if state == Deposit.State.REVIEW else state for txid, state, review in rows}

    def standing(self) -> tuple[str, int]:
        """What the participant is told, and the cents that are credited."""
        person = Invitation.objects.select_related("sale", "btc_rate", "eth_rate").get(pk=self.person.pk)
        return payments.status(person, now=self.now).state, person.credited_cents

    def entries(self) -> list[int]:
        return list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True))

    def confirmations(self) -> int:
        (there,) = [
            one for one in payments.status(self.person, now=self.now).deposits if one.chain == self.player.chain
        ]
        return there.confirmations

    def trouble(self) -> str:
        return ChainCursor.objects.get(chain=self.chain).trouble

    def worth(self, amount: int) -> int:
        return caps.worth_cents(amount, rate_of(self.person, self.chain), self.chain)

    def arrived(self) -> dict[Key, int]:
        """On the node's chain, by the player's own look at it."""
        there = self.player.arrived([self.address], up_to=self.player.height())
        return {key: amount for key, (_, amount) in there.items()}

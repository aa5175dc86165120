"""One world on one chain: people, a player and a follower, moved by a seeded hand. The books must equal the chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import pytest
from django.db.models import Sum

from ico import caps
from ico.chains.base import ChainUnavailable, NodeBehind
from ico.deposits import Follower
from ico.models import ChainCursor, Deposit, Invitation, LedgerEntry, Rate
from tests.ico.people import address_of, joined
from tests.nodes.players import Key, Player

STRANGER = {"ETH": "0x" + "1" * 40, "BTC": "bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t"}
ABOUT_75_EUROS = {"ETH": 10**18 // 40, "BTC": 125_000}
LEAST = {"ETH": 1, "BTC": 330}  # a Bitcoin node hands nothing on that is worth less than to spend it
ALLOWANCES = (100_000, 100_000, 100_000, 40_000, 40_000, 10_000)  # cents: some are soon used up


class Walk:
    """`reorgs` is the deepest reorg."""

    def __init__(
        self,
        *,
        seed: int,
        player: Player,
        people: Sequence[Invitation],
        depth: int,
        reorgs: int,
        now: datetime,
    ) -> None:
        self.random, self.player, self.now = Random(seed), player, now
        self.depth, self.reorgs, self.chain = depth, reorgs, player.chain
        self.people = {address_of(person, self.chain).lower(): person for person in people}
        self.deepest = self.highest = self.behind = 0
        player.prepare(self.people.keys())
        self.lowest = player.height()  # no reorg goes below
        self.follower = Follower(player.client())
        self.follow()

    def follow(self) -> None:
        """All the steps that there are to take; a node that has fallen behind is left alone."""
        self.now += timedelta(seconds=self.random.randint(1, 20))
        try:
            while self.follower.step(self.now).is_unfinished:
                pass
        except NodeBehind:
            self.behind += 1

    def catch_up(self) -> None:
        """A chain that lost height leaves credits standing that were deep enough before; let it grow again first. And
        what was dropped during a reorg is known to be so at the step after it."""
        self.player.mine(max(1, self.highest - self.player.height()))
        self.follow()
        self.follow()

    def move(self) -> None:
        dice = self.random.random()
        if dice < 0.35:
            self.pay()
        elif dice < 0.75:
            self.player.mine(self.random.randint(1, 2))
        elif dice < 0.90:
            self.reorganise()
        elif dice < 0.98:
            self.disturb()
        else:
            self.follower = Follower(self.player.client())  # another process takes over and remembers nothing
        if self.random.random() < 0.8:  # now and then a follower misses a step
            self.follow()
        self.highest = max(self.highest, self.player.height())

    def pay(self) -> None:
        ours = self.random.sample(sorted(self.people), self.random.randint(1, 3))
        amounts = [self.random.randint(LEAST[self.chain], ABOUT_75_EUROS[self.chain]) for _ in ours]
        outputs = [*zip(ours, amounts, strict=True), (STRANGER[self.chain], 1_000)]
        self.player.pay(outputs, fails=self.chain == "ETH" and self.random.random() < 0.1)

    def reorganise(self) -> None:
        """Also several in a row never undo more than the deepest one would."""
        floor = max(self.lowest, self.highest - self.reorgs)
        depth = min(self.random.randint(1, self.reorgs), self.player.height() - floor)
        if depth < 1:
            return
        self.deepest = max(self.deepest, depth)
        dropped = [txid for txid in self.player.newest(depth) if self.random.random() < 0.3]
        length = 0 if self.random.random() < 0.2 else max(0, depth + self.random.randint(-1, 1))
        self.player.reorg(depth, length=length, dropped=dropped, mined_again=self.random.random() < 0.4)

    def disturb(self) -> None:
        waiting = sorted(self.player.waiting())
        if not waiting:
            return
        txid, dice = self.random.choice(waiting), self.random.random()
        if dice < 0.3:
            self.player.drop(txid)
        elif dice < 0.6:
            self.player.double_spend(txid, self.random.choice([*sorted(self.people), STRANGER[self.chain]]))
        else:
            self.player.replace(txid)

    def restart(self) -> None:
        """The node goes away and comes back; the follower says so meanwhile, and changes nothing."""
        before = _rows()
        self.player.stop()
        with pytest.raises(ChainUnavailable):
            self.follower.step(self.now)
        assert _rows() == before
        assert ChainCursor.objects.get(chain=self.chain).trouble
        self.player.start()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def real(self, up_to: int) -> dict[Key, tuple[Invitation, int]]:
        arrived = self.player.arrived(self.people.keys(), up_to=up_to)
        return {key: (self.people[address], amount) for key, (address, amount) in arrived.items()}

    def must_be_sound(self) -> None:
        """What holds at every moment, also while the follower lags behind."""
        credited = dict(Invitation.objects.values_list("pk", "credited_cents"))
        booked = dict(LedgerEntry.objects.values_list("invitation").annotate(Sum("cents")))
        assert {pk: booked.get(pk, 0) for pk in credited} == credited
        assert sum(Deposit.objects.values_list("credited_cents", flat=True)) == sum(credited.values())
        assert all(credited[person.pk] <= person.allowance_cents for person in self.people.values())

    def must_equal_the_chain(self) -> None:
        """What holds once the follower has caught up: everything deep enough is explained, nothing else is credited."""
        tip = self.player.height()
        there, deep = self.real(tip), self.real(tip - self.depth + 1)
        assert sum(amount for _, amount in there.values()) == self.player.held(self.people.keys())
        rows = {(row.txid, row.position): row for row in Deposit.objects.select_related("address")}
        for key, (person, amount) in deep.items():
            row = rows[key]
            assert (row.amount, row.address.invitation_id) == (amount, person.pk)
            assert row.settled_at is not None
            explained(row, person)
        for key in rows.keys() - deep.keys():
            assert (rows[key].credited_cents, rows[key].owed_back, rows[key].settled_at) == (0, 0, None)
        assert {key for key, row in rows.items() if row.block_height is not None} == there.keys()
        self._states_must_fit(rows, there.keys() - deep.keys())

    def _states_must_fit(self, rows: dict[Key, Deposit], shallow: set[Key]) -> None:
        """What was compensated is in review until it is booked again, or dropped when nobody knows it any more."""
        waiting = set(self.player.waiting())
        for (txid, position), row in rows.items():
            if row.settled_at is None:
                in_block, in_pool = (txid, position) in shallow, txid in waiting
                state = "confirming" if in_block else "seen" if in_pool else "dropped"
                undone = row.review == Deposit.Review.REORG
                assert row.state == ("review" if undone and state != "dropped" else state), row

    def worth_of_all(self) -> int:
        """Cents that everything on the chain is worth, caps aside."""
        there = self.real(self.player.height()).values()
        return sum(caps.worth_cents(amount, rate_of(person, self.chain), self.chain) for person, amount in there)


def explained(row: Deposit, person: Invitation) -> None:
    """Credited and owed back make up the amount, to the last satoshi or wei."""
    rate = rate_of(person, row.chain)
    if row.owed_back:
        assert row.owed_back == row.amount - caps.amount_for(row.credited_cents, rate, row.chain)
        assert row.review in ("excess", "dust")
    else:
        assert row.credited_cents == caps.worth_cents(row.amount, rate, row.chain)
        assert (row.state, row.review) == ("credited", "")


def rate_of(person: Invitation, chain: str) -> Rate:
    return person.btc_rate if chain == "BTC" else person.eth_rate


def people(*, sale, now: datetime) -> list[Invitation]:  # type: ignore[no-untyped-def]
    return [joined(sale=sale, now=now, allowance_cents=cents) for cents in ALLOWANCES]


def _rows() -> list[tuple[int, str, int]]:
    return list(Deposit.objects.order_by("pk").values_list("pk", "state", "credited_cents"))

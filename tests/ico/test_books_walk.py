"""Random walks of payments, blocks, replacements and reorgs: after every step the books equal the chain."""

from random import Random

import pytest
from django.db.models import Sum

from ico import books, caps, deposits
from ico.chains.base import NodeBehind
from ico.chains.simulated import SimulatedChain
from ico.models import Deposit, Invitation, LedgerEntry
from tests.ico.people import address_of, joined

ETHER = 10**18
ROUNDS = 400
PEOPLE = 6


class Walk:
    """One world: a chain, some people and a follower, moved by a seeded hand."""

    def __init__(self, *, seed: int, chain: SimulatedChain, people: list[Invitation], depth: int, reorgs: int, now):
        self.random, self.chain, self.people, self.now = Random(seed), chain, people, now
        self.depth, self.reorgs = depth, reorgs
        self.addresses = {chain.wire(address_of(person, "ETH")): person for person in people}
        self.deepest = self.highest = self.behind = 0
        self.fee = 10**12
        self.follow()

    def follow(self) -> None:
        try:
            while deposits.follow(chain="ETH", client=self.chain, now=self.now).lag > 0:
                pass
        except NodeBehind:  # nothing is undone before it is sure that the chain itself went back
            self.behind += 1

    def catch_up(self) -> None:
        """A chain that lost height leaves credits standing that were deep enough before; let it grow again first."""
        self.chain.mine(max(0, self.highest - self.chain.tip().height))
        self.follow()

    def move(self) -> None:
        dice = self.random.random()
        if dice < 0.35:
            self.pay()
        elif dice < 0.75:
            self.chain.mine(self.random.randint(1, 2))
        elif dice < 0.90:
            self.reorganise()
        else:
            self.disturb()
        if self.random.random() < 0.8:  # now and then a follower misses a step
            self.follow()
        self.highest = max(self.highest, self.chain.tip().height)

    def pay(self) -> None:
        ours = self.random.sample(sorted(self.addresses), self.random.randint(1, 3))
        outputs = [(address, self.random.randint(1, ETHER // 40)) for address in ours]
        outputs.append(("0x" + "1" * 40, 5))
        self.chain.send_many(outputs, fee=10**12, fails=self.random.random() < 0.1)

    def reorganise(self) -> None:
        depth = min(self.random.randint(1, self.reorgs), self.chain.tip().height)
        if not depth:
            return
        self.deepest = max(self.deepest, depth)
        mined = [t.txid for h in range(depth) for t in self.transfers_at(self.chain.tip().height - h)]
        dropped = [txid for txid in dict.fromkeys(mined) if self.random.random() < 0.3]
        length = max(0, depth + self.random.randint(-1, 1))
        self.chain.reorg(depth, length=length, dropped=dropped, mined_again=self.random.random() < 0.4)

    def disturb(self) -> None:
        waiting = list(dict.fromkeys(transfer.txid for transfer in self.chain.mempool()))
        if not waiting:
            return
        txid = self.random.choice(waiting)
        if self.random.random() < 0.5:
            self.chain.drop(txid)
        else:
            self.fee += 1
            self.chain.replace(txid, fee=self.fee)

    def transfers_at(self, height: int):
        block = self.chain.block_at(height)
        return [] if block is None else self.chain.transfers([block])[0]

    def moved_at(self, height: int):
        block = self.chain.block_at(height)
        transfers = self.transfers_at(height)
        really = self.chain.moved(block, {t.txid for t in transfers}) if transfers else set()
        return [t for t in transfers if t.txid in really]

    def real(self, up_to: int) -> dict[tuple[str, int], tuple[Invitation, int]]:
        return {
            (t.txid, t.position): (self.addresses[t.address], t.amount)
            for height in range(up_to + 1)
            for t in self.moved_at(height)
            if t.address in self.addresses
        }

    def must_be_sound(self) -> None:
        """What holds at every moment, also while the follower lags behind."""
        credited = dict(Invitation.objects.values_list("pk", "credited_cents"))
        booked = dict(LedgerEntry.objects.values_list("invitation").annotate(Sum("cents")))
        for pk, cents in credited.items():
            assert booked.get(pk, 0) == cents
        assert sum(Deposit.objects.values_list("credited_cents", flat=True)) == sum(credited.values())
        assert all(cents <= 100_000 for cents in credited.values())

    def must_equal_the_chain(self) -> None:
        """What holds once the follower has caught up: everything deep enough is explained, nothing else is credited."""
        tip = self.chain.tip().height
        deep = self.real(tip - self.depth + 1)
        rows = {(row.txid, row.position): row for row in Deposit.objects.select_related("address")}
        for key, (person, amount) in deep.items():
            row = rows[key]
            assert (row.amount, row.address.invitation_id) == (amount, person.pk)
            assert row.settled_at is not None
            explained(row, person)
        for key, row in rows.items():
            if key not in deep:
                assert (row.credited_cents, row.owed_back, row.settled_at) == (0, 0, None)
        shallow = self.real(tip).keys() - deep.keys()
        assert {key for key, row in rows.items() if row.block_height is not None} == deep.keys() | shallow
        assert {key for key, row in rows.items() if row.state == "confirming"} <= shallow


def explained(row: Deposit, person: Invitation) -> None:
    """Credited and owed back make up the amount, to the wei."""
    if row.owed_back:
        assert row.owed_back == row.amount - caps.amount_for(row.credited_cents, person.eth_rate, "ETH")
        assert row.review in ("excess", "dust")
    else:
        assert row.credited_cents == caps.worth_cents(row.amount, person.eth_rate, "ETH")
        assert (row.state, row.review) == ("credited", "")


def walk(*, seed: int, depth: int, reorgs: int, sale, now, tmp_path, settings) -> Walk:
    settings.CONFIRMATIONS = {"BTC": depth, "ETH": depth}
    people = [joined(sale=sale, now=now) for _ in range(PEOPLE)]
    chain = SimulatedChain(tmp_path / "walk.sqlite3", chain="ETH")
    return Walk(seed=seed, chain=chain, people=people, depth=depth, reorgs=reorgs, now=now)


@pytest.mark.parametrize(("seed", "patience"), [(1, 600), (2, 600), (3, 0)])
@pytest.mark.parametrize(("depth", "reorgs"), [(6, 4), (2, 7)])
def test_the_ledger_equals_the_chain(seed, patience, depth, reorgs, sale, now, tmp_path, settings) -> None:
    settings.NODE_PATIENCE_SECONDS = patience
    world = walk(seed=seed, depth=depth, reorgs=reorgs, sale=sale, now=now, tmp_path=tmp_path, settings=settings)
    for number in range(ROUNDS):
        world.move()
        world.must_be_sound()
        if number % 20 == 19:
            world.catch_up()
            world.must_equal_the_chain()
    world.chain.mine(depth)
    world.catch_up()
    world.must_equal_the_chain()
    compensated = LedgerEntry.objects.filter(cents__lt=0).count()
    assert world.deepest == reorgs
    assert (world.behind > 0) == (patience > 0)
    assert LedgerEntry.objects.filter(cents__gt=0).count() > 50
    assert (compensated > 0) == (reorgs >= depth)  # only a reorg as deep as the credit needs compensation


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_compensation_the_same_walk_goes_wrong(seed, sale, now, tmp_path, settings, monkeypatch) -> None:
    """The negative control: credits that a deep reorg undid stay in the books."""
    monkeypatch.setattr(books, "compensate", lambda deposits, *, now: None)
    world = walk(seed=seed, depth=2, reorgs=7, sale=sale, now=now, tmp_path=tmp_path, settings=settings)
    for _ in range(ROUNDS // 2):
        world.move()
    world.chain.mine(2)
    world.follow()
    real = sum(
        caps.worth_cents(amount, person.eth_rate, "ETH")
        for person, amount in world.real(world.chain.tip().height).values()
    )
    booked = LedgerEntry.objects.aggregate(sum=Sum("cents"))["sum"]
    assert booked != sum(Deposit.objects.values_list("credited_cents", flat=True)) or booked > real

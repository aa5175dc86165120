"""The ledger held against balances: each difference by its name, and none that time alone made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count

import pytest
from django.db import transaction

from ico import addresses, balance_sheet, deposits, recheck, reconciliation
from ico.chains.base import BadAnswer, Balances, ChainBusy, ChainUnavailable, WrongChain
from ico.chains.rpc import RpcError
from ico.chains.simulated import SimulatedChain
from ico.models import ChainCursor, Deposit, DepositAddress, FollowedBlock, Invitation
from ico.reconciliation import Compared, Difference, Kind, Patience
from tests.ico.people import address_of, joined

ETHER = 10**18
STRANGER = "0x" + "1" * 40


class Told(SimulatedChain):
    """The simulated chain, and a balance for single addresses that no transfer explains, as a contract may pay and an
    owner may take."""

    def __init__(self, *arguments, **options) -> None:
        self.besides: dict[str, int] = {}
        super().__init__(*arguments, **options)

    def balances(self, addresses) -> Balances:
        told = super().balances(addresses)
        pairs = zip(addresses, told.amounts, strict=True)
        return Balances(told.block, tuple(held + self.besides.get(address, 0) for address, held in pairs))


@pytest.fixture
def chain(tmp_path, settings) -> Told:
    settings.CONFIRMATIONS = {"BTC": 1, "ETH": 3}
    return Told(tmp_path / "eth.sqlite3", chain="ETH")


@pytest.fixture
def person(sale, now) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def step(chain, person, now) -> Callable[[], None]:
    def run() -> None:
        while deposits.follow(chain="ETH", client=chain, now=now).lag > 0:
            pass

    run()
    return run


def compared(chain, *, seconds: float = 0, wait=lambda _: None, **options) -> list[Compared]:
    patience = options.pop("patience", None) or Patience(seconds, wait=wait)
    return list(reconciliation.compare(chain="ETH", client=chain, patience=patience, **options))


def differences(chain, **options) -> list[Difference]:
    return [one for batch in compared(chain, **options) for one in batch.differences]


def brief(found: list[Difference]) -> list[tuple[str, str, int, int]]:
    return [(str(one.kind), one.address, one.booked, one.held) for one in found]


def test_whatever_became_of_a_payment_the_books_equal_the_chain(chain, person, step, sale, now) -> None:
    mine, theirs = address_of(person, "ETH"), address_of(joined(sale=sale, now=now), "ETH")
    chain.send_many([(mine, 7 * ETHER), (mine, 1), (STRANGER, 5), (theirs, ETHER // 10 + 1)])
    chain.send(mine, ETHER, fails=True)
    chain.mine(3)
    chain.send(theirs, 3)
    chain.mine(1)
    chain.send(theirs, 4)  # in no block: in no balance
    step()
    assert set(Deposit.objects.values_list("state", "review")) == {
        ("review", "excess"),
        ("review", "dust"),
        ("credited", ""),
        ("confirming", ""),
        ("seen", ""),
    }
    (batch,) = compared(chain)
    assert (batch.addresses, batch.block.height, batch.differences) == (2, 4, [])
    assert sum(chain.balances([row.wire for row in DepositAddress.objects.filter(chain="ETH")]).amounts) == (
        7 * ETHER + 1 + ETHER // 10 + 1 + 3
    )


def test_a_wei_too_much_is_named(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), 7 * ETHER)
    chain.mine()
    step()
    chain.besides = {address_of(person, "ETH").lower(): 1}
    (one,) = differences(chain)
    assert brief([one]) == [("more", address_of(person, "ETH"), 7 * ETHER, 7 * ETHER + 1)]
    assert str(one).startswith(f"ETH {one.address}: books 7, chain 7.000000000000000001 (more: arrived otherwise")


def test_what_was_paid_to_an_address_that_nobody_was_given_is_nobodys(chain, person, step, now) -> None:
    spare = addresses.derived(chain="ETH", index=77)
    DepositAddress.objects.create(chain="ETH", index=77, address=spare)
    chain.send(spare, 5)
    chain.mine()
    step()
    assert brief(differences(chain)) == [("nobody's", spare, 0, 5)]


def test_what_arrived_and_is_gone_was_moved_out(chain, person, step) -> None:
    mine = address_of(person, "ETH")
    chain.send_many([(mine, ETHER), (mine, 5)])
    chain.mine()
    step()
    chain.besides = {mine.lower(): -ETHER - 5}
    assert brief(differences(chain)) == [("moved out", mine, ETHER + 5, 0)]
    (batch,) = compared(chain, moved_out={mine.lower()})
    assert (batch.differences, batch.acknowledged) == ([], ETHER + 5)
    (other,) = compared(chain, moved_out={STRANGER})
    assert (len(other.differences), other.acknowledged) == (1, 0)


def test_what_never_arrived_is_missing_whatever_the_owner_says(chain, person, step) -> None:
    """Money that the books made up: a deposit twice as large as the chain's."""
    mine = address_of(person, "ETH")
    chain.send(mine, ETHER)
    chain.mine()
    step()
    Deposit.objects.update(amount=2 * ETHER)
    assert brief(differences(chain, moved_out={mine.lower()})) == [("missing", mine, 2 * ETHER, ETHER)]


def test_a_deposit_on_the_wrong_address_is_two_differences(chain, person, step, sale, now) -> None:
    other = joined(sale=sale, now=now)
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    step()
    Deposit.objects.update(address=other.addresses.get(chain="ETH"))
    assert sorted(brief(differences(chain))) == [
        ("missing", address_of(other, "ETH"), ETHER, 0),
        ("more", address_of(person, "ETH"), 0, ETHER),
    ]


def test_only_so_many_blocks_are_read_again(chain, person, step, sale, now) -> None:
    people = [person, joined(sale=sale, now=now)]
    for one in people:
        chain.send(address_of(one, "ETH"), ETHER)
        chain.mine()
    step()
    chain.besides = {address_of(one, "ETH").lower(): -1 for one in people}
    found = differences(chain, patience=Patience(0, blocks=recheck.Budget(1)))
    assert [one.kind for one in found] == [Kind.MOVED_OUT, Kind.UNEXPLAINED]


def test_a_follower_that_is_behind_is_waited_for(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    waited = []

    def follows(seconds: float) -> None:
        waited.append(seconds)
        step()

    assert differences(chain, seconds=5, wait=follows) == []
    assert waited == [reconciliation.LOOK_SECONDS]


def test_a_follower_that_stays_behind_is_no_loss(chain, person, step) -> None:
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    assert brief(differences(chain, seconds=2)) == [("not compared", address_of(person, "ETH"), 0, ETHER)]


def test_a_node_that_is_behind_is_compared_at_its_own_block(chain, person, step, monkeypatch) -> None:
    """The books go on while the node answers: what they learned after its block does not count."""
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    before = chain.balances([address_of(person, "ETH").lower()])
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(2)
    step()
    monkeypatch.setattr(chain, "balances", lambda addresses: before)
    assert differences(chain) == []


def test_without_the_height_the_same_books_would_be_accused(chain, person, step, monkeypatch) -> None:
    """The negative control: the balance is of an older block, and the deposits are taken as they are now."""
    before = chain.balances([address_of(person, "ETH").lower()])
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(2)
    step()
    monkeypatch.setattr(chain, "balances", lambda addresses: before)
    assert differences(chain) == []
    Deposit.objects.update(block_height=before.block.height)
    assert [one.kind for one in differences(chain)] == [Kind.MISSING]


def test_a_reorg_between_the_nodes_answer_and_the_books_is_asked_again(chain, person, step, monkeypatch) -> None:
    txid = chain.send(address_of(person, "ETH"), ETHER)
    chain.mine(2)
    step()
    honest, asked = chain.balances, count()

    def then_a_reorg(addresses) -> Balances:
        told = honest(addresses)
        if next(asked) == 0:
            chain.reorg(2, dropped=[txid])
            step()
        return told

    monkeypatch.setattr(chain, "balances", then_a_reorg)
    assert differences(chain, seconds=5) == []
    assert next(asked) == 2
    assert not Deposit.objects.exclude(block_height=None).exists()


def test_without_looking_at_the_hash_the_reorg_would_be_a_difference(chain, person, step, monkeypatch) -> None:
    """The negative control: the books have another block at that height, and are believed to agree."""
    before = chain.balances([address_of(person, "ETH").lower()])
    txid = chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    told = chain.balances([address_of(person, "ETH").lower()])
    chain.reorg(1, dropped=[txid])
    step()
    monkeypatch.setattr(chain, "balances", lambda addresses: told)
    assert [one.kind for one in differences(chain)] == [Kind.BEHIND]
    FollowedBlock.objects.filter(height=1).update(block_hash=told.block.hash)
    assert [one.kind for one in differences(chain)] == [Kind.MORE]
    assert before.amounts == (0,)


@pytest.fixture
def reorg_while_blocks_are_read(chain, person, step, monkeypatch) -> None:
    """The owner has moved everything out; while the blocks are read again, the chain gives up the deposit's."""
    mine = address_of(person, "ETH")
    chain.send(mine, ETHER)
    chain.mine(2)
    step()
    chain.besides = {mine.lower(): -ETHER}
    honest, asked = chain.transfers, count()

    def after_a_reorg(blocks):
        if next(asked) == 0:
            chain.besides = {}
            chain.reorg(2)
            told = honest(chain.blocks([blocks[0].height]))
            step()
            return told
        return honest(blocks)

    monkeypatch.setattr(chain, "transfers", after_a_reorg)


def test_a_reorg_while_blocks_are_read_again_is_nothing_missing(chain, reorg_while_blocks_are_read) -> None:
    assert differences(chain, seconds=5) == []


def test_a_reorg_while_blocks_are_read_again_is_at_least_not_compared(chain, reorg_while_blocks_are_read) -> None:
    assert [one.kind for one in differences(chain)] == [Kind.BEHIND]


def test_without_looking_again_the_reorg_would_be_a_loss(chain, reorg_while_blocks_are_read, monkeypatch) -> None:
    """The negative control."""
    monkeypatch.setattr(reconciliation, "_still_there", lambda client, block: True)
    assert [one.kind for one in differences(chain, seconds=5)] == [Kind.MISSING]


def test_addresses_are_asked_in_batches(chain, person, step, sale, now, monkeypatch) -> None:
    for _ in range(4):
        joined(sale=sale, now=now)
    monkeypatch.setitem(reconciliation.AT_ONCE, "ETH", 2)
    chain.besides = {address_of(person, "ETH").lower(): 1}
    assert [(batch.addresses, len(batch.differences)) for batch in compared(chain)] == [(2, 1), (2, 0), (1, 0)]


def test_half_an_answer_is_refused(chain, person, step, monkeypatch) -> None:
    monkeypatch.setattr(chain, "balances", lambda addresses: Balances(chain.tip(), ()))
    with pytest.raises(BadAnswer, match="asked for 1 balances, got 0"):
        differences(chain)


@pytest.mark.parametrize("error", [ChainUnavailable("gone"), ChainBusy("slower"), RpcError(-32000, "unknown block")])
def test_a_node_that_refuses_for_a_moment_is_asked_again(chain, person, step, monkeypatch, error) -> None:
    honest, asked = chain.balances, count()

    def refuses(addresses) -> Balances:
        if next(asked) < 2:
            raise error
        return honest(addresses)

    monkeypatch.setattr(chain, "balances", refuses)
    with pytest.raises(type(error)):
        differences(chain, seconds=0)
    assert differences(chain, seconds=5) == []


def test_a_node_that_goes_on_refusing_is_given_up(chain, person, step, monkeypatch) -> None:
    asked = count()

    def refuses(addresses) -> Balances:
        next(asked)
        raise ChainUnavailable("gone")

    monkeypatch.setattr(chain, "balances", refuses)
    with pytest.raises(ChainUnavailable):
        differences(chain, seconds=60)
    assert next(asked) == reconciliation.TRIES


def test_another_chain_is_refused(chain, person, step, tmp_path) -> None:
    with pytest.raises(WrongChain, match="genesis"):
        differences(SimulatedChain(tmp_path / "other.sqlite3", chain="ETH"))


def test_books_that_never_began_are_not_compared(chain, person) -> None:
    chain.send(address_of(person, "ETH"), ETHER)
    chain.mine()
    assert not ChainCursor.objects.filter(chain="ETH").exclude(block_hash="").exists()
    assert [one.kind for one in differences(chain)] == [Kind.BEHIND]


def test_the_books_in_sums_are_exact(chain, person, step, sale, now: datetime) -> None:
    other = joined(sale=sale, now=now)
    chain.send(address_of(person, "ETH"), 12 * ETHER + 1)
    chain.send(address_of(person, "ETH"), 7)
    chain.send(address_of(other, "ETH"), ETHER // 10)
    chain.mine(3)
    chain.send(address_of(other, "ETH"), 9)
    step()
    sums = balance_sheet.sums()["ETH"]
    full = ETHER // 3 + 1
    assert sums.credited_cents == {"EUR": 130_000}
    assert sums.owed_back == {"excess": 12 * ETHER + 1 - full, "dust": 7}
    assert sums.owed == 12 * ETHER + 8 - full
    assert (sums.in_review, sums.on_the_way, sums.deposits) == ({"excess": 1, "dust": 1}, 9, 4)
    assert balance_sheet.sums()["BTC"] == balance_sheet.Sums({}, {}, {}, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_the_sums_can_be_read_beside_a_writer(sale) -> None:
    with transaction.atomic():
        assert balance_sheet.sums()["ETH"].deposits == 0

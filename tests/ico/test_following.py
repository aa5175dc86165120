"""What the follower does when a node is behind, lies, is another, or is read while its chain changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ico import books, cursors, deposits, figures, sightings
from ico.chains.base import BadAnswer, Block, ChainUnavailable, NodeBehind, Transfer, WrongChain
from ico.chains.simulated import SimulatedChain
from ico.models import ChainCursor, Deposit, DepositAddress, FollowedBlock, Invitation, LedgerEntry, Sale
from tests.ico.people import address_of, joined

ETHER = 10**18
DEPTH = 3
PATIENCE = timedelta(seconds=600)


class Node(SimulatedChain):
    """A simulated node that can be `short` of its chain's newest blocks, and that remembers what it was asked."""

    def __init__(self, path: Path, *, chain: str = "ETH", **more: Any) -> None:
        self.short = 0
        self.asked: list[tuple[str, Any]] = []
        super().__init__(path, chain=chain, **more)

    def tip(self) -> Block:
        self.asked.append(("tip", None))
        newest = super().tip()
        shown = self.block_at(newest.height - self.short)
        assert shown is not None
        return shown

    def blocks(self, heights: Sequence[int]) -> list[Block | None]:
        self.asked.append(("blocks", list(heights)))
        highest = super().tip().height - self.short
        return [self.block_at(height) if height <= highest else None for height in heights]

    def transfers(self, blocks: Sequence[Block]) -> list[Sequence[Transfer]]:
        self.asked.append(("transfers", len(blocks)))
        return super().transfers(blocks)

    def moved(self, block: Block, txids: Any) -> set[str]:
        self.asked.append(("moved", set(txids)))
        return super().moved(block, txids)

    def told(self, call: str) -> list[Any]:
        return [about for name, about in self.asked if name == call]


@pytest.fixture(autouse=True)
def _depth(settings: Any) -> None:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": DEPTH}
    settings.NODE_PATIENCE_SECONDS = PATIENCE.total_seconds()


@pytest.fixture
def person(sale: Sale, now: datetime) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "eth.sqlite3")


@pytest.fixture
def follower(node: Node, person: Invitation, now: datetime) -> deposits.Follower:
    found = deposits.Follower(node)
    found.step(now)
    return found


def cursor() -> ChainCursor:
    return ChainCursor.objects.get(chain="ETH")


def pay(node: Node, person: Invitation, *, blocks: int = DEPTH) -> str:
    txid = node.send(address_of(person, "ETH"), ETHER // 10)
    node.mine(blocks)
    return txid


def entries() -> list[int]:
    return list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True))


# --- a node that is behind --------------------------------------------------------------------------------------------
def test_a_node_that_is_behind_undoes_and_credits_nothing(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    before = cursor()
    node.short = 2
    node.send(address_of(person, "ETH"), ETHER // 20)
    for seconds in (1, 300, 599):
        with pytest.raises(NodeBehind):
            follower.step(now + timedelta(seconds=seconds))
    assert entries() == [30_000]
    assert Deposit.objects.get().state == "credited"
    after = cursor()
    assert (after.height, after.block_hash, after.followed_at) == (before.height, before.block_hash, before.followed_at)
    assert after.trouble == "the node is behind what was followed"
    assert after.trouble_since == after.behind_since == now + timedelta(seconds=1)


def test_a_node_that_has_caught_up_is_followed_on(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    node.short = 0
    node.mine(1)
    assert follower.step(now).rewound == 0
    assert entries() == [30_000]
    assert (cursor().trouble, cursor().trouble_since, cursor().behind_since) == ("", None, None)
    node.short = 2  # the next time it is given the whole time again
    with pytest.raises(NodeBehind):
        follower.step(now + PATIENCE)


def test_when_the_patience_is_over_the_chain_itself_went_back(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = DEPTH
    with pytest.raises(NodeBehind):
        follower.step(now)
    assert follower.step(now + PATIENCE).rewound == DEPTH
    assert entries() == [30_000, -30_000]
    node.short = 0
    follower.step(now + PATIENCE)
    assert entries() == [30_000, -30_000, 30_000]


def test_a_lower_tip_with_another_block_is_believed_at_once(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, length=1)
    assert follower.step(now).rewound == DEPTH
    assert entries() == [30_000, -30_000]


def test_behind_and_then_another_block_is_a_reorg_at_once(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, length=0)
    with pytest.raises(NodeBehind):
        follower.step(now)
    node.mine(1)
    assert follower.step(now).rewound == DEPTH
    assert entries() == [30_000, -30_000]


def test_a_node_that_says_itself_that_it_catches_up_is_waited_for_for_ever(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    follower.step(now)
    node.short = 2
    with pytest.raises(NodeBehind):
        follower.step(now)
    with monkeypatch.context() as patched:

        def catching_up() -> Block:
            raise NodeBehind("block 17 of 100")

        patched.setattr(node, "tip", catching_up)
        with pytest.raises(NodeBehind):
            follower.step(now + 10 * PATIENCE)
        assert (cursor().trouble, cursor().behind_since) == ("block 17 of 100", None)
    with pytest.raises(NodeBehind):
        follower.step(now + 20 * PATIENCE)
    assert cursor().behind_since == now + 20 * PATIENCE
    assert entries() == [30_000]


# --- what is written down ---------------------------------------------------------------------------------------------
def test_the_same_trouble_is_written_once_and_cleared_when_it_is_over(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "nobody there"

    def gone() -> Block:
        raise ChainUnavailable(said)

    with monkeypatch.context() as patched:
        patched.setattr(node, "tip", gone)
        for second in range(3):
            with (
                CaptureQueriesContext(
                    connection,
                ) as queries,
                pytest.raises(ChainUnavailable),
            ):
                follower.step(now + timedelta(seconds=second))
            writes = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
            assert len(writes) == (1 if second == 0 else 0)
        assert (cursor().trouble, cursor().trouble_since) == ("nobody there", now)
        said = "still\nnobody\x00 " + "x" * 500
        with pytest.raises(ChainUnavailable):
            follower.step(now + timedelta(seconds=9))
        assert cursor().trouble == "still?nobody? " + "x" * (cursors.LONGEST_TROUBLE - 14)
        assert cursor().trouble_since == now, "since it is not followed"
    follower.step(now)
    assert (cursor().trouble, cursor().trouble_since) == ("", None)


def test_trouble_outlives_the_transaction_that_failed(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    with monkeypatch.context() as patched:
        patched.setattr(books, "settle", _raising(books.CapMoved("invitation 1")))
        with pytest.raises(books.CapMoved):
            follower.step(now)
    assert not Deposit.objects.exists()
    assert cursor().trouble == "invitation 1"
    follower.step(now)
    assert entries() == [30_000]


def test_what_the_mempool_told_a_failed_step_is_seen_by_the_next_one(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(step: Callable[[], object]) -> set[str]:
        node.send("0x" + "1" * 40, ETHER)
        txid = node.send(address_of(person, "ETH"), ETHER // 10)
        with monkeypatch.context() as patched:
            patched.setattr(books, "settle", _raising(books.CapMoved("moved")))
            with pytest.raises(books.CapMoved):
                step()
        step()
        return {txid} & set(Deposit.objects.filter(state="seen").values_list("txid", flat=True))

    assert heard(lambda: follower.step(now))
    # Negative control: a follower that forgets; the client does not tell it again.
    assert not heard(lambda: deposits.follow(chain="ETH", client=node, now=now))


def _raising(error: Exception) -> Callable[..., int]:
    def settle(**where: object) -> int:
        raise error

    return settle


# --- a node that lies, or is read while its chain changes -------------------------------------------------------------
def test_a_missing_parent_is_named_and_nothing_is_taken_over(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    honest = node.blocks

    def orphans(heights: Sequence[int]) -> list[Block | None]:
        return [
            block and Block(block.height, block.hash, "0x" + "f" * 64, block.time, 0, 0, 1) if block else None
            for block in honest(heights)
        ]

    before = cursor()
    monkeypatch.setattr(node, "blocks", orphans)
    with pytest.raises(BadAnswer, match="missing parent: block 1 "):
        follower.step(now)
    assert cursor().trouble.startswith("missing parent: block 1 ")
    assert (cursor().height, cursor().block_hash) == (before.height, before.block_hash)
    assert not Deposit.objects.exists()


def test_a_block_that_calls_itself_another_height_is_named(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(2)
    honest = node.blocks

    def shifted(heights: Sequence[int]) -> list[Block | None]:
        found = honest(heights)
        return [b if b is None or b.height == 0 else Block(7, b.hash, b.parent, b.time, 0, 0, 1) for b in found]

    monkeypatch.setattr(node, "blocks", shifted)
    with pytest.raises(BadAnswer, match="block 1 calls itself 7"):
        follower.step(now)


def reorganised_before(node: Node, monkeypatch: pytest.MonkeyPatch, which: Iterable[int]) -> None:
    """The chain is reorganised just before these of the calls for more than one block."""
    honest, calls, times = node.blocks, iter(range(1_000)), set(which)

    def blocks(heights: Sequence[int]) -> list[Block | None]:
        if len(heights) > 1 and next(calls) in times:
            node.reorg(3, mined_again=True)
        return honest(heights)

    monkeypatch.setattr(node, "blocks", blocks)


def test_a_reorg_that_comes_while_it_is_read_is_looked_at_again(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(1)
    follower.step(now)
    pay(node, person, blocks=2)
    reorganised_before(node, monkeypatch, [0])  # the followed block 1 is given up between decision and fetching
    followed = follower.step(now)
    assert (followed.rewound, followed.lag) == (1, 0)
    assert cursor().block_hash == node.tip().hash
    assert Deposit.objects.get().block_hash == node.block_at(Deposit.objects.get().block_height or 0).hash  # type: ignore[union-attr]


def test_a_chain_that_never_stands_still_is_left_for_the_next_step(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.mine(1)
    follower.step(now)
    node.mine(2)
    reorganised_before(node, monkeypatch, range(1_000))
    monkeypatch.setattr(sightings, "LOOKS", 1)
    before = cursor()
    with pytest.raises(ChainUnavailable, match="changed 1 times while it was read"):
        follower.step(now)
    assert cursor().block_hash == before.block_hash


def test_a_tip_that_falls_while_it_is_read_is_no_rewind(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(node, person)
    follower.step(now)
    node.mine(1)
    tip = node.tip()
    node.short = 2
    monkeypatch.setattr(node, "tip", lambda: tip)  # as it was a moment ago
    with pytest.raises(ChainUnavailable):
        follower.step(now)
    assert entries() == [30_000]


# --- another chain ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("chain", "named", "right"),
    [
        ("BTC", "regtest", False),
        ("BTC", "test", False),
        ("BTC", "main", True),
        ("ETH", "11155111", False),
        ("ETH", "1", True),
    ],
)
def test_the_network_is_that_of_the_settings(
    chain: str, named: str, right: bool, tmp_path: Path, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "node.sqlite3", chain=chain)
    monkeypatch.setattr(node, "network", lambda: named)
    if right:
        deposits.follow(chain=chain, client=node, now=now)
        assert ChainCursor.objects.get(chain=chain).network == named
        return
    with pytest.raises(WrongChain, match=f"the node is on network {named}, the settings say"):
        deposits.follow(chain=chain, client=node, now=now)
    assert not FollowedBlock.objects.exists()
    assert ChainCursor.objects.get(chain=chain).trouble.startswith("the node is on network")


@pytest.mark.parametrize("named", ["test", "testnet4"])
def test_books_that_began_on_one_test_network_do_not_go_on_on_the_other(
    named: str, tmp_path: Path, sale: Sale, now: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BTC_NETWORK = "testnet"
    node = Node(tmp_path / "node.sqlite3", chain="BTC")
    monkeypatch.setattr(node, "network", lambda: named)
    deposits.follow(chain="BTC", client=node, now=now)
    other = {"test": "testnet4", "testnet4": "test"}[named]
    monkeypatch.setattr(node, "network", lambda: other)
    with pytest.raises(WrongChain, match=f"network {other}, the books began on {named}"):
        deposits.follow(chain="BTC", client=node, now=now)


def test_the_network_is_asked_for_again_when_the_connection_was_lost(
    node: Node, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(node, "network", _raising_unavailable)
        follower.step(now)  # it is not asked for again without a reason
    with monkeypatch.context() as patched:
        patched.setattr(node, "tip", _raising_unavailable)
        with pytest.raises(ChainUnavailable):
            follower.step(now)
    monkeypatch.setattr(node, "network", lambda: "1")  # another node answers there now
    with pytest.raises(WrongChain):
        follower.step(now)


def _raising_unavailable() -> Any:
    raise ChainUnavailable("gone")


# --- what counts as final ---------------------------------------------------------------------------------------------
def test_ethereum_can_be_credited_by_its_own_finality(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: 0)
    pay(node, person, blocks=DEPTH + 5)
    follower.step(now)
    assert entries() == []
    monkeypatch.setattr(node, "final_height", lambda: 1)
    follower.step(now)
    assert entries() == [30_000]
    deposit = Deposit.objects.get()
    assert (deposit.settled_final, deposit.settled_tip) == (1, DEPTH + 5)


def test_a_node_that_knows_no_finality_is_not_credited_by_depth_instead(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: None)
    pay(node, person)
    with pytest.raises(BadAnswer, match="final"):
        follower.step(now)
    assert entries() == []


def test_a_node_that_calls_final_what_was_not_followed_credits_what_was(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, settings: Any, monkeypatch: Any
) -> None:
    settings.ETH_FINALITY = "finalized"
    monkeypatch.setattr(node, "final_height", lambda: 10**9)
    pay(node, person, blocks=1)
    follower.step(now)
    assert Deposit.objects.get().settled_final == 1


# --- few questions, bounded steps -------------------------------------------------------------------------------------
def test_a_step_of_many_blocks_asks_few_questions(node: Node, follower: deposits.Follower, now: datetime) -> None:
    node.mine(sightings.MOST_BLOCKS)
    node.asked.clear()
    assert follower.step(now).blocks == sightings.MOST_BLOCKS
    assert len(node.told("blocks")) == 2, "the newest followed one, and all that are new"
    assert len(node.told("transfers")) == sightings.MOST_BLOCKS // sightings.BLOCKS_AT_ONCE
    assert node.told("moved") == []


def test_a_deep_reorg_asks_few_questions(node: Node, follower: deposits.Follower, now: datetime) -> None:
    node.mine(150)
    follower.step(now)
    node.reorg(120, length=125)
    node.asked.clear()
    assert follower.step(now).rewound == 120
    assert len(node.told("blocks")) <= 18


def test_receipts_are_asked_for_only_of_what_pays_us(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    for _ in range(5):
        node.send("0x" + "1" * 40, ETHER)
    ours = pay(node, person, blocks=1)
    follower.step(now)
    assert node.told("moved") == [{ours}]


def test_a_step_takes_in_no_more_transfers_than_it_may(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "BLOCKS_AT_ONCE", 2)
    monkeypatch.setattr(sightings, "MOST_TRANSFERS", 5)
    for _ in range(8):
        node.send("0x" + "1" * 40, ETHER)
        pay(node, person, blocks=1)
    steps = [follower.step(now) for _ in range(3)]
    assert [(step.blocks, step.lag) for step in steps] == [(4, 4), (4, 0), (0, 0)]
    monkeypatch.setattr(sightings, "MOST_ARRIVALS", 3)
    for _ in range(8):
        pay(node, person, blocks=1)
    assert [follower.step(now).blocks for _ in range(4)] == [3, 3, 2, 0]
    assert Deposit.objects.filter(block_height__isnull=False).count() == 16


def test_waiting_deposits_are_asked_about_a_part_at_a_time(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ico.arrivals.CHUNK", 2)
    txids = [node.send(address_of(person, "ETH"), ETHER // 100) for _ in range(5)]
    follower.step(now)
    for txid in txids:
        node.drop(txid)
    left = []
    for _ in range(4):
        follower.step(now)
        left.append(Deposit.objects.filter(state="seen").count())
    assert left[-1] == 0
    assert all(before - after <= 2 for before, after in zip([5, *left], left, strict=False))


# --- where following begins, and whose addresses count ----------------------------------------------------------------
def test_a_reorg_below_the_beginning_moves_the_beginning(tmp_path: Path, sale: Sale, now: datetime) -> None:
    node = Node(tmp_path / "old.sqlite3", now=now.timestamp() - 36_000)
    for hour in range(8):
        node.mine(1, now=now.timestamp() - 36_000 + hour * 3600)
    node.mine(1, now=now.timestamp())
    person = joined(sale=sale, now=now)
    deposits.follow(chain="ETH", client=node, now=now)
    start = cursor().start_height
    assert start == 9
    node.send(address_of(person, "ETH"), ETHER // 10)
    node.reorg(5, length=6, mined_again=True, now=now.timestamp())
    deposits.follow(chain="ETH", client=node, now=now)
    assert cursor().start_height == 1  # nothing between the genesis block and the beginning was kept
    assert Deposit.objects.count() == 1


def test_what_arrives_at_an_address_that_nobody_was_given_is_no_deposit(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime
) -> None:
    ahead = DepositAddress.objects.create(chain="ETH", index=10_000, address="0x" + "Ab" * 20)
    node.send(ahead.address, ETHER)
    node.mine(DEPTH)
    follower.step(now)
    assert node.balances([ahead.address]).amounts == (ETHER,)
    assert not Deposit.objects.exists()


# --- figures ----------------------------------------------------------------------------------------------------------
def test_the_figures_tell_of_compensations_and_of_trouble(
    node: Node, person: Invitation, follower: deposits.Follower, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    txid = pay(node, person)
    follower.step(now)
    node.reorg(DEPTH, dropped=[txid])
    follower.step(now)
    assert figures.compensated() == {"BTC": 0, "ETH": 1}
    counts = {(chain, state, review): count for chain, state, review, count in figures.deposits_by_state()}
    assert counts["ETH", "review", "reorg"] == 1
    assert sum(counts.values()) == 1
    assert len(counts) == 2 * (4 + 4)
    monkeypatch.setattr(node, "tip", _raising_unavailable)
    with pytest.raises(ChainUnavailable):
        follower.step(now - timedelta(seconds=60))
    found = {(figure.name, labels): value for figure, labels, value in figures._chains()}
    assert found["stampede_chain_trouble_seconds", ("ETH",)] >= 60

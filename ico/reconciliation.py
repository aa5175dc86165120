"""The ledger held against what the nodes say our addresses hold, each difference named.

The books are what arrived in blocks up to the balance's block, whatever became of it: credited, owed back and less than
a cent add up to what was sent. The node answers first and the books are read after it, in one moment, so they are asked
what they knew at its block: that they go on meanwhile does no harm. Where the two do not agree, they are asked again
until the follower has reached the balance's block and has the same block there (a reorg may lie in between).

What is there once and then is not was spent, and by the owner of the key alone; a balance cannot tell that from a
payment that never was. So for an address that holds less, the blocks of its deposits are read again. What is not in
them is missing only if the balance's block still stands after that.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from config import transactions
from ico import recheck
from ico.amounts import in_coins
from ico.chains.base import BadAnswer, Balances, Block, ChainBusy, ChainClient, ChainUnavailable, WrongChain
from ico.chains.rpc import RpcError
from ico.models import ChainCursor, Deposit, DepositAddress, FollowedBlock

# A Bitcoin node walks through all unspent outputs for each question, however many addresses are in it.
AT_ONCE = {"BTC": 20_000, "ETH": 1_000}
LOOK_SECONDS = 0.5
TRIES = 3


class Kind(StrEnum):
    MORE = "more"
    NOBODYS = "nobody's"
    MOVED_OUT = "moved out"
    MISSING = "missing"
    UNEXPLAINED = "less"
    BEHIND = "not compared"


MEANINGS: Mapping[Kind, str] = {
    Kind.MORE: "arrived otherwise than by a transfer that was followed: from a contract, a block's reward, a"
    " withdrawal, or before the address was handed out",
    Kind.NOBODYS: "paid to an address that nobody was given",
    Kind.MOVED_OUT: "all of it arrived, in blocks that stand, and was spent since: by whoever has the key",
    Kind.MISSING: "the books know of payments that the chain does not have: find out why before anybody is paid",
    Kind.UNEXPLAINED: "spent by whoever has the key, or never there: the blocks were not read again",
    Kind.BEHIND: "the books and the node are not at the same block yet",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Amounts in satoshi or wei, as of `block`."""

    kind: Kind
    chain: str
    address: str
    booked: int
    held: int
    block: Block

    @property
    def meaning(self) -> str:
        return MEANINGS[self.kind]

    def __str__(self) -> str:
        booked, held = in_coins(self.booked, self.chain), in_coins(self.held, self.chain)
        return f"{self.chain} {self.address}: books {booked}, chain {held} ({self.kind}: {self.meaning})"


@dataclass(frozen=True, slots=True)
class Compared:
    """One batch of addresses. `acknowledged`: what is missing there and was moved out, as an operator says."""

    block: Block
    addresses: int
    differences: Sequence[Difference]
    acknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """What the books knew at a block: `booked` by address. `agree`: they have that very block."""

    booked: Mapping[int, int]
    issued: Collection[int]
    agree: bool


@dataclass(slots=True)
class Patience:
    """What one run may still spend: seconds of waiting for a follower that is behind, and blocks to read again."""

    seconds: float
    blocks: recheck.Budget = field(default_factory=recheck.Budget)
    wait: Callable[[float], object] = time.sleep

    def left(self) -> bool:
        """Whether to look again; it has waited for a moment then."""
        if self.seconds <= 0:
            return False
        self.seconds -= LOOK_SECONDS
        self.wait(LOOK_SECONDS)
        return True


def compare(
    *, chain: str, client: ChainClient, patience: Patience, moved_out: Collection[str] = frozenset()
) -> Iterator[Compared]:
    """Every derived address of a chain, batch by batch. `moved_out`: addresses (as blocks write them) that may hold
    less than what arrived, for their owner moved it. Raises any `ChainError`."""
    _must_be_our_chain(chain, client)
    last = 0
    while rows := _rows(chain, last):
        last = rows[-1].pk
        yield _compare_batch(chain, client, rows, patience, moved_out)


def _must_be_our_chain(chain: str, client: ChainClient) -> None:
    began = FollowedBlock.objects.filter(chain=chain, height=0).values_list("block_hash", flat=True).first()
    genesis = client.blocks([0])[0]
    if began is not None and (genesis is None or genesis.hash != began):
        raise WrongChain(f"the {chain} node's genesis block is not the one that the books began with")


def _rows(chain: str, after: int) -> Sequence[DepositAddress]:
    rows = DepositAddress.objects.filter(chain=chain, pk__gt=after)
    return list(rows.only("pk", "address", "wire", "chain").order_by("pk")[: AT_ONCE[chain]])


def _compare_batch(
    chain: str,
    client: ChainClient,
    rows: Sequence[DepositAddress],
    patience: Patience,
    moved_out: Collection[str],
) -> Compared:
    balances, books = _looked(chain, client, rows, patience)
    again = _read_again(chain, client, rows, balances, books, patience)
    while again.missing and not _still_there(
        client, balances.block
    ):  # what is missing stood in blocks of a lost branch
        if not patience.left():
            books = replace(books, agree=False)
            break
        balances, books = _looked(chain, client, rows, patience)
        again = _read_again(chain, client, rows, balances, books, patience)
    block, unequal = balances.block, _unequal(rows, books, balances)
    named = [
        (row, Difference(_kind(row, books, held, again), chain, row.address, books.booked.get(row.pk, 0), held, block))
        for row, held in unequal
    ]
    expected = [one for row, one in named if one.kind is Kind.MOVED_OUT and row.wire in moved_out]
    rest = [one for row, one in named if one.kind is not Kind.MOVED_OUT or row.wire not in moved_out]
    return Compared(block, len(rows), rest, sum(one.booked - one.held for one in expected))


def _looked(
    chain: str, client: ChainClient, rows: Sequence[DepositAddress], patience: Patience
) -> tuple[Balances, Books]:
    """What the node and the books say, at one block if patience lasts."""
    balances = _asked(client, rows, patience)
    books = books_at(chain, rows, balances.block)
    while not books.agree and _unequal(rows, books, balances) and patience.left():
        if not _still_there(client, balances.block):
            balances = _asked(client, rows, patience)
        books = books_at(chain, rows, balances.block)
    return balances, books


def _read_again(
    chain: str,
    client: ChainClient,
    rows: Sequence[DepositAddress],
    balances: Balances,
    books: Books,
    patience: Patience,
) -> recheck.ReadAgain:
    unequal = _unequal(rows, books, balances) if books.agree else []
    less = [row.pk for row, held in unequal if held < books.booked.get(row.pk, 0)]
    up_to = balances.block.height
    return recheck.read_again(chain=chain, client=client, addresses=less, up_to=up_to, budget=patience.blocks)


def _kind(row: DepositAddress, books: Books, held: int, again: recheck.ReadAgain) -> Kind:
    if not books.agree:
        return Kind.BEHIND
    if held > books.booked.get(row.pk, 0):
        return Kind.MORE if row.pk in books.issued else Kind.NOBODYS
    if row.pk in again.missing:
        return Kind.MISSING
    return Kind.UNEXPLAINED if row.pk in again.unread else Kind.MOVED_OUT


def books_at(chain: str, rows: Sequence[DepositAddress], block: Block) -> Books:
    """What arrived at these addresses up to a block, as the books say it now."""
    booked: dict[int, int] = defaultdict(int)
    first, last = rows[0].pk, rows[-1].pk
    with transactions.one_moment():
        cursor = ChainCursor.objects.filter(chain=chain, height__gte=block.height).exists()
        same = FollowedBlock.objects.filter(chain=chain, height=block.height, block_hash=block.hash).exists()
        arrived = Deposit.objects.filter(chain=chain, block_height__lte=block.height)
        arrived = arrived.filter(address_id__gte=first, address_id__lte=last)
        for key, amount in arrived.exclude(state=Deposit.State.DROPPED).values_list("address_id", "amount").iterator():
            booked[key] += amount
        issued = DepositAddress.objects.filter(chain=chain, pk__range=(first, last), invitation__isnull=False)
        return Books(booked, frozenset(issued.values_list("pk", flat=True)), agree=cursor and same)


def _asked(client: ChainClient, rows: Sequence[DepositAddress], patience: Patience) -> Balances:
    """Asked again a few times: a node that is asked about a block which a reorg takes away meanwhile refuses."""
    for again in reversed(range(TRIES)):
        try:
            balances = client.balances([row.wire for row in rows])
            break
        except (ChainUnavailable, ChainBusy, RpcError):
            if not (again and patience.left()):
                raise
    if len(balances.amounts) != len(rows):
        raise BadAnswer(f"asked for {len(rows)} balances, got {len(balances.amounts)}")
    return balances


def _still_there(client: ChainClient, block: Block) -> bool:
    now = client.blocks([block.height])[0]
    return now is not None and now.hash == block.hash


def _unequal(rows: Sequence[DepositAddress], books: Books, balances: Balances) -> list[tuple[DepositAddress, int]]:
    return [
        (row, held) for row, held in zip(rows, balances.amounts, strict=True) if books.booked.get(row.pk, 0) != held
    ]

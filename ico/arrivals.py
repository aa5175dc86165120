"""Transfers to our addresses, as rows of deposits that follow what the chain says of them. Used by `deposits`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from django.db.models import Q

from ico import books
from ico.chains.base import Block, ChainClient, Transfer
from ico.models import Deposit, DepositAddress

State, Review = Deposit.State, Deposit.Review
Key = tuple[str, int]
T = TypeVar("T")
CHUNK = 500  # SQLite takes at least 999 parameters in one statement


@dataclass(frozen=True, slots=True)
class OnChain:
    height: int
    address: str
    amount: int


@dataclass(frozen=True, slots=True)
class Arrival:
    transfer: Transfer
    block: Block | None  # None: in the mempool


def record(
    *,
    chain: str,
    blocks: Sequence[tuple[Block, Sequence[Transfer]]],
    appeared: Sequence[Transfer],
    gone: Collection[str],
    now: datetime,
) -> None:
    """Take in what was seen: what really moved in blocks, newly in the mempool, and which waiting transactions will
    never pay (the node does not know them any more, or they failed in a block). Inside the caller's transaction."""
    found: dict[Key, Arrival] = {_key(transfer): Arrival(transfer, None) for transfer in appeared}
    found |= {_key(transfer): Arrival(transfer, block) for block, transfers in blocks for transfer in transfers}
    ours = _our_addresses(chain, {arrival.transfer.address for arrival in found.values()})
    found = {key: a for key, a in found.items() if a.transfer.address in ours and a.transfer.amount > 0}
    known = _known(chain, found)
    new = [_new(chain, ours, arrival, now) for key, arrival in found.items() if key not in known]
    Deposit.objects.bulk_create(new)
    changed = [deposit for key, deposit in known.items() if _moved(deposit, found[key].block)]
    _save_places(changed)
    _drop(chain, set(gone) - {txid for (txid, _), arrival in found.items() if arrival.block is not None})


def gone(*, chain: str, client: ChainClient) -> set[str]:
    """The txids of waiting deposits that the node does not know any more."""
    waiting = set(Deposit.objects.filter(chain=chain, state=State.SEEN).values_list("txid", flat=True))
    return waiting - client.waiting(waiting) if waiting else set()


def participants(*, chain: str, above_height: int, blocks: Sequence[tuple[Block, Sequence[Transfer]]]) -> set[int]:
    """The invitations whose deposits a step may undo or book that goes back to this height and on with these blocks:
    it locks them all at once, for undoing and booking would lock them in two orders."""
    seen = _our_addresses(chain, {transfer.address for _, transfers in blocks for transfer in transfers})
    open_or_lost = Q(block_height__gt=above_height) | Q(settled_at=None)
    known = Deposit.objects.filter(open_or_lost, chain=chain).select_related("address")
    return {row.owner_id for row in seen.values()} | {deposit.address.owner_id for deposit in known}


def unconfirm(*, chain: str, above_height: int, now: datetime) -> None:
    """Blocks above this height were given up: their deposits wait again, and credits are compensated. Inside the
    caller's transaction."""
    lost = Deposit.objects.filter(chain=chain, block_height__gt=above_height)
    books.compensate(list(lost.filter(credited_cents__gt=0).select_related("address")), now=now)
    # What was compensated has no block any more. A deposit that was compensated earlier stays in review.
    lost.filter(state=State.REVIEW, review=Review.REORG).update(block_height=None, block_hash="")
    waiting_again = {"state": State.SEEN, "review": "", "owed_back": 0, "block_height": None, "block_hash": ""}
    lost.update(**waiting_again, settled_at=None, settled_tip=None)


def on_chain(*, chain: str, client: ChainClient, last: int) -> dict[Key, OnChain]:
    ours = set(DepositAddress.objects.filter(chain=chain, invitation__isnull=False).values_list("wire", flat=True))
    blocks = (block for height in range(last + 1) if (block := client.blocks([height])[0]))
    return {
        _key(transfer): OnChain(height=block.height, address=transfer.address, amount=transfer.amount)
        for block in blocks
        for transfer in moved(client, block)[0]
        if transfer.address in ours and transfer.amount > 0
    }


def moved(client: ChainClient, block: Block) -> tuple[Sequence[Transfer], set[str]]:
    """What a block's transactions moved, and those of them that failed."""
    transfers = client.transfers([block])[0]
    really = client.moved(block, {transfer.txid for transfer in transfers})
    failed = {transfer.txid for transfer in transfers} - really
    return [transfer for transfer in transfers if transfer.txid in really], failed


def _key(transfer: Transfer) -> Key:
    return transfer.txid, transfer.position


def _our_addresses(chain: str, addresses: Iterable[str]) -> dict[str, DepositAddress]:
    rows = DepositAddress.objects.filter(chain=chain, invitation__isnull=False)
    return {row.wire: row for chunk in _chunks(addresses) for row in rows.filter(wire__in=chunk)}


def _known(chain: str, keys: Iterable[Key]) -> dict[Key, Deposit]:
    wanted = set(keys)
    rows = Deposit.objects.filter(chain=chain)
    found = (row for chunk in _chunks({txid for txid, _ in wanted}) for row in rows.filter(txid__in=chunk))
    return {key: row for row in found if (key := (row.txid, row.position)) in wanted}


def _new(chain: str, ours: dict[str, DepositAddress], arrival: Arrival, now: datetime) -> Deposit:
    transfer, block = arrival.transfer, arrival.block
    deposit = Deposit(
        chain=chain,
        txid=transfer.txid,
        position=transfer.position,
        address=ours[transfer.address],
        amount=transfer.amount,
        first_seen_at=now,
    )
    if block is not None:
        # After a downtime a payment counts from when the chain had it, not from when we looked.
        deposit.first_seen_at = min(now, datetime.fromtimestamp(block.time, UTC))
        _moved(deposit, block)
    return deposit


def _moved(deposit: Deposit, block: Block | None) -> bool:
    """Put the deposit where it was found; False if it was there already (the same block delivered twice)."""
    if deposit.block_height is not None:
        return False
    if block is None:
        revived = deposit.state == State.DROPPED
        deposit.state = State.SEEN if revived else deposit.state
        return revived
    deposit.block_height, deposit.block_hash = block.height, block.hash
    if deposit.state != State.REVIEW:  # a compensated deposit stays in review until it is booked again
        deposit.state = State.CONFIRMING
    return True


def _save_places(deposits: Iterable[Deposit]) -> None:
    """One UPDATE for all that were found in the same place."""
    places: dict[tuple[str, int | None, str], list[int]] = {}
    for deposit in deposits:
        places.setdefault((deposit.state, deposit.block_height, deposit.block_hash), []).append(deposit.pk)
    for (state, height, block_hash), keys in places.items():
        for chunk in _chunks(keys):
            Deposit.objects.filter(pk__in=chunk).update(state=state, block_height=height, block_hash=block_hash)


def _drop(chain: str, txids: Collection[str]) -> None:
    for chunk in _chunks(txids):
        Deposit.objects.filter(chain=chain, txid__in=chunk, state=State.SEEN).update(state=State.DROPPED)


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk

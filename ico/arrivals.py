"""Transfers to our addresses, as rows of deposits that follow what the chain says of them. Used by `deposits`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.db.models import Q

from ico import books, owners
from ico.chains.base import Block, Transfer
from ico.chunks import OF_A_STATEMENT as CHUNK
from ico.chunks import chunks
from ico.models import Deposit

State, Review = Deposit.State, Deposit.Review
Key = tuple[str, int]
# In no block: what waits, and what was compensated.
WAITING = Q(state=State.SEEN) | Q(state=State.REVIEW, review=Review.REORG, block_height=None)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transfer to one of our addresses."""

    transfer: Transfer
    block: Block | None  # None: in the mempool
    address_id: int
    invitation_id: int
    heard_at: datetime | None = None  # when a node first told us that it waits

    @property
    def key(self) -> Key:
        return self.transfer.txid, self.transfer.position


def ours(chain: str, transfers: Iterable[tuple[Transfer, Block | None]]) -> list[Arrival]:
    """Those that pay an address that was handed out, however many were. An address that nobody was given yet is
    nobody's, and so is what arrives there: only the reconciliation of balances shows it."""
    worth = [(transfer, block) for transfer, block in transfers if transfer.amount > 0]
    known = owners.owners(chain, (transfer.address for transfer, _ in worth))
    return [
        Arrival(transfer, block, *known[transfer.address]) for transfer, block in worth if transfer.address in known
    ]


def record(*, chain: str, found: Iterable[Arrival], never: Collection[str], now: datetime) -> None:
    """Take in what was found, the mempool before the blocks, and which waiting transactions will never pay (the node
    does not know them any more, or they failed in a block). Inside the caller's transaction."""
    newest = _newest(found)
    known = _known(chain, newest)
    Deposit.objects.bulk_create(_new(chain, arrival, now) for key, arrival in newest.items() if key not in known)
    seen_earlier = [deposit for key, deposit in known.items() if _seen_earlier(deposit, newest[key], now)]
    Deposit.objects.bulk_update(seen_earlier, ["first_seen_at"], batch_size=50)
    _save_places([deposit for key, deposit in known.items() if _moved(deposit, newest[key].block)])
    _drop(chain, set(never) - {txid for (txid, _), arrival in newest.items() if arrival.block is not None})


def waiting(chain: str, *, after: int) -> tuple[set[str], int]:
    """The txids of deposits that may never come, a bounded number of them behind the row `after`, and the last one's
    row (0 at the end: begin again)."""
    rows = Deposit.objects.filter(WAITING, chain=chain, pk__gt=after).order_by("pk")
    some = list(rows.values_list("pk", "txid")[:CHUNK])
    return {txid for _, txid in some}, some[-1][0] if len(some) == CHUNK else 0


def participants(*, chain: str, above_height: int, found: Iterable[Arrival]) -> set[int]:
    """The invitations whose deposits a step may undo or book that goes back to this height and finds these: it locks
    them all at once, for undoing and booking would lock them in two orders."""
    open_or_lost = Q(block_height__gt=above_height) | Q(settled_at=None)
    known = Deposit.objects.filter(open_or_lost, chain=chain).values_list("address__invitation", flat=True)
    return {arrival.invitation_id for arrival in found} | set(known)


def unconfirm(*, chain: str, above_height: int, now: datetime) -> list[str]:
    """Blocks above this height were given up: their deposits wait again, and credits are compensated. Answers what an
    operator must be told once this is committed. Inside the caller's transaction."""
    lost = Deposit.objects.filter(chain=chain, block_height__gt=above_height)
    acted_on = lost.filter(Q(credited_cents__gt=0) | Q(settled_at__isnull=False, owed_back__gt=0))
    undone = books.compensate(list(acted_on.select_related("address")), now=now)
    # What was compensated has no block any more. A deposit that was compensated earlier stays in review.
    lost.filter(state=State.REVIEW, review=Review.REORG).update(block_height=None, block_hash="")
    waiting_again = {"state": State.SEEN, "review": "", "owed_back": 0, "block_height": None, "block_hash": ""}
    lost.update(**waiting_again, settled_at=None, settled_tip=None, settled_final=None)
    return undone


def _newest(found: Iterable[Arrival]) -> dict[Key, Arrival]:
    """Where each one is now, with the moment at which it was heard of first."""
    newest: dict[Key, Arrival] = {}
    for arrival in found:
        before = newest.get(arrival.key)
        heard_at = before.heard_at if before else None
        newest[arrival.key] = replace(arrival, heard_at=arrival.heard_at or heard_at)
    return newest


def _known(chain: str, keys: Iterable[Key]) -> dict[Key, Deposit]:
    wanted = set(keys)
    rows = Deposit.objects.filter(chain=chain)
    found = (row for chunk in chunks({txid for txid, _ in wanted}) for row in rows.filter(txid__in=chunk))
    return {key: row for row in found if (key := (row.txid, row.position)) in wanted}


def _new(chain: str, arrival: Arrival, now: datetime) -> Deposit:
    transfer, block = arrival.transfer, arrival.block
    deposit = Deposit(
        chain=chain,
        txid=transfer.txid,
        position=transfer.position,
        address_id=arrival.address_id,
        amount=transfer.amount,
        first_seen_at=_first_seen(arrival, now),
    )
    if block is not None:
        _moved(deposit, block)
    return deposit


def _first_seen(arrival: Arrival, now: datetime) -> datetime:
    """After a downtime a payment counts from when the chain had it, and after steps that failed from when it was heard,
    not from when it could be written down."""
    moments = [now]
    if arrival.heard_at is not None:
        moments.append(arrival.heard_at)
    if arrival.block is not None:
        moments.append(datetime.fromtimestamp(max(0, min(arrival.block.time, now.timestamp())), UTC))
    return min(moments)


def _seen_earlier(deposit: Deposit, arrival: Arrival, now: datetime) -> bool:
    """Whether the chain had it before we did: it waited in no mempool that we were told of, or in one lately."""
    before = deposit.first_seen_at
    deposit.first_seen_at = min(before, _first_seen(arrival, now))
    return deposit.first_seen_at < before


def _moved(deposit: Deposit, block: Block | None) -> bool:
    """Put the deposit where it was found; False if it was there already (the same block delivered twice)."""
    if deposit.block_height is not None:
        return False
    if block is None:
        revived = deposit.state == State.DROPPED
        deposit.state = _open(deposit, State.SEEN) if revived else deposit.state
        return revived
    deposit.block_height, deposit.block_hash = block.height, block.hash
    deposit.state = _open(deposit, State.CONFIRMING)
    return True


def _open(deposit: Deposit, state: Deposit.State) -> Deposit.State:
    """A compensated deposit is in review until it is booked again, also when it was dropped in between."""
    return State.REVIEW if deposit.review == Review.REORG else state


def _save_places(deposits: Iterable[Deposit]) -> None:
    """One UPDATE for all that were found in the same place."""
    places: dict[tuple[str, int | None, str], list[int]] = {}
    for deposit in deposits:
        places.setdefault((deposit.state, deposit.block_height, deposit.block_hash), []).append(deposit.pk)
    for (state, height, block_hash), keys in places.items():
        for chunk in chunks(keys):
            Deposit.objects.filter(pk__in=chunk).update(state=state, block_height=height, block_hash=block_hash)


def _drop(chain: str, txids: Collection[str]) -> None:
    """What was compensated keeps the word for it: its entries stay in the ledger."""
    for chunk in chunks(txids):
        Deposit.objects.filter(WAITING, chain=chain, txid__in=chunk).update(state=State.DROPPED)

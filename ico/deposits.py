"""Following the chains: every transfer to one of our addresses is recorded once and kept in step with the chain.

    seen (mempool) -> confirming (in a block) -> credited or in review (deep enough; `books` decides)
    seen -> dropped (gone from the mempool)       any of them -> back to seen (its block was given up)

One step asks the node first, outside any transaction, and then changes blocks, deposits, books and cursor in one. Only
one follower gets to do so: the cursor is moved by a conditional UPDATE from where the step began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q

from config import transactions
from ico import arrivals, books, locks
from ico.chains import follow as following
from ico.chains import load
from ico.chains.base import Block, ChainClient, GaugedClient, Transfer, WrongChain
from ico.chains.follow import Advance, Diverged, Point, Rewind
from ico.models import ChainCursor, ChainReading, DepositAddress, FollowedBlock
from ico.nodes import client_for as client_for
from ico.payments import status as status

MOST_BLOCKS = 200
KEPT_BLOCKS = 288  # far deeper than any reorg that a payment should survive
CLOCK_ERROR = timedelta(hours=2)  # what Bitcoin lets a miner be wrong by


@dataclass(frozen=True, slots=True)
class Followed:
    """What one step did. `overtaken`: another follower moved the cursor first, and nothing was done here."""

    chain: str
    height: int
    tip_height: int
    blocks: int = 0
    rewound: int = 0
    booked: int = 0
    overtaken: bool = False

    @property
    def lag(self) -> int:
        return self.tip_height - self.height


@dataclass(frozen=True, slots=True)
class View:
    """What the node said at the beginning of a step."""

    tip: Block
    ancestor: Point
    rewound: int
    blocks: Sequence[tuple[Block, Sequence[Transfer]]]
    appeared: Sequence[Transfer]
    gone: set[str]  # txids that waited and are not known to the node any more
    failed: set[str]  # txids in the blocks that moved nothing

    @property
    def end(self) -> Point:
        return Point(self.blocks[-1][0].height, self.blocks[-1][0].hash) if self.blocks else self.ancestor


def follow(*, chain: str, client: ChainClient, now: datetime) -> Followed:
    """One bounded step. Raises `WrongChain` when the node is on another chain than the books, `ChainUnavailable` and
    `ChainBusy` when it does not answer; then nothing was changed."""
    cursor = _cursor(chain, client, now)
    view = _look(cursor, client)
    return _take_in(cursor, view, now)


@transactions.retried
def _take_in(cursor: ChainCursor, view: View, now: datetime) -> Followed:
    chain = cursor.chain
    if not _claim(cursor, view, now):
        return Followed(chain, cursor.height, cursor.tip_height, overtaken=True)
    if view.rewound:
        above = view.ancestor.height
        locks.invitations(arrivals.participants(chain=chain, above_height=above, blocks=view.blocks))
        arrivals.unconfirm(chain=chain, above_height=above, now=now)
    _remember(chain, view)
    # During a reorg a transaction may be in neither place, so nothing counts as dropped in a step that rewinds.
    complete = not view.rewound and view.end.hash == view.tip.hash
    gone = view.gone if complete else set()
    arrivals.record(chain=chain, blocks=view.blocks, appeared=view.appeared, gone=gone | view.failed, now=now)
    booked = books.settle(chain=chain, tip=view.end.height, required=settings.CONFIRMATIONS[chain], now=now)
    return Followed(chain, view.end.height, view.tip.height, len(view.blocks), view.rewound, booked)


def read_load(*, client: GaugedClient, now: datetime) -> None:
    """Record the chain's load for the release. Its age is that of the newest block in it, so a node that stands still
    grows stale even while it answers. Raises what `load.read` raises; then the reading before it stays."""
    reading = load.read(client, now=now.timestamp())
    newest = datetime.fromtimestamp(reading.newest_at, UTC)
    ChainReading.objects.update_or_create(
        chain=client.chain,
        defaults={
            "load": reading.ratio,
            "base_fee": reading.base_fee,
            "tip": reading.tip,
            "observed_at": min(now, newest),
        },
    )


def agreed_height(chain: str) -> int:
    """Up to where the node's chain is still the one that was followed; below the cursor while a reorg has not been
    followed yet, -1 if nothing was followed."""
    client = client_for(chain)
    followed = FollowedBlock.objects.filter(chain=chain).order_by("-height").values_list("height", "block_hash")
    for height, block_hash in followed.iterator():
        block = client.blocks([height])[0]
        if block is not None and block.hash == block_hash:
            return height
    return -1


def on_chain(*, chain: str, last: int) -> dict[tuple[str, int], arrivals.OnChain]:
    """Every transfer to us on the node's chain up to a height, by (txid, position): what an audit compares with."""
    return arrivals.on_chain(chain=chain, client=client_for(chain), last=last)


def _cursor(chain: str, client: ChainClient, now: datetime) -> ChainCursor:
    """The cursor; on the first step it is put before the first block that can hold a payment to us."""
    cursor, _ = ChainCursor.objects.get_or_create(chain=chain)
    if cursor.block_hash:
        return cursor
    tip = client.tip()
    first = (
        DepositAddress.objects.filter(chain=chain, issued_at__isnull=False)
        .order_by("issued_at")
        .values_list("issued_at", flat=True)
        .first()
    )
    moment = int(((first or now) - CLOCK_ERROR).timestamp())

    def time_at(height: int) -> int | None:
        block = client.blocks([height])[0]
        return None if block is None else block.time

    height = following.first_height_after(moment, tip_height=tip.height, time_at=time_at)
    genesis, start = client.blocks([0, max(0, height - 1)])
    if genesis is None or start is None:
        raise WrongChain(f"the {chain} node has no block to begin with")
    _begin(chain, tip, genesis, start)
    cursor.refresh_from_db()
    return cursor


@transactions.retried
def _begin(chain: str, tip: Block, genesis: Block, start: Block) -> None:
    begun = ChainCursor.objects.filter(chain=chain, block_hash="").update(
        height=start.height, block_hash=start.hash, tip_height=tip.height
    )
    if begun:  # else a rival began in the same moment
        FollowedBlock.objects.bulk_create([_followed(chain, block) for block in {genesis, start}])


def _look(cursor: ChainCursor, client: ChainClient) -> View:
    # The mempool is asked before the tip: what is in neither then was really dropped, and not just mined in between.
    appeared = client.appeared()
    gone = arrivals.gone(chain=cursor.chain, client=client)
    tip = client.tip()
    stored = _stored(cursor, client)

    def hash_at(height: int) -> str | None:
        block = tip if height == tip.height else client.blocks([height])[0]
        return None if block is None else block.hash

    decision = following.decide(stored, tip_height=tip.height, hash_at=hash_at, most=MOST_BLOCKS)
    match decision:
        case Diverged():
            raise WrongChain(
                f"none of the {len(stored)} newest {cursor.chain} blocks we followed is on the node's chain"
            )
        case Advance(first=first, last=last):
            ancestor = stored[-1]
        case Rewind(ancestor=ancestor, first=first, last=last):
            pass
        case _:
            ancestor, first, last = stored[-1], 1, 0
    fetched = [block for height in range(first, last + 1) if (block := client.blocks([height])[0])]
    linked = following.joined(fetched, after=ancestor)
    told = [(block, *arrivals.moved(client, block)) for block in linked]
    blocks = [(block, transfers) for block, transfers, _ in told]
    failed = {txid for _, _, some in told for txid in some}
    return View(tip, ancestor, cursor.height - ancestor.height, blocks, appeared, gone, failed)


def _stored(cursor: ChainCursor, client: ChainClient) -> list[Point]:
    """The recent blocks we followed. The genesis block is kept with them for good: it says which chain the books are
    about."""
    recent = Q(height__gt=cursor.height - KEPT_BLOCKS, height__lte=cursor.height)
    rows = FollowedBlock.objects.filter(recent | Q(height=0), chain=cursor.chain).order_by("height")
    points = [Point(height, block_hash) for height, block_hash in rows.values_list("height", "block_hash")]
    genesis = client.blocks([0])[0]
    if genesis is None or points[0] != Point(0, genesis.hash):
        raise WrongChain(f"the {cursor.chain} node's genesis block is not the one that the books began with")
    return points if cursor.height < KEPT_BLOCKS else points[1:]


def _claim(cursor: ChainCursor, view: View, now: datetime) -> bool:
    begun_from = ChainCursor.objects.filter(chain=cursor.chain, height=cursor.height, block_hash=cursor.block_hash)
    moved = begun_from.update(
        height=view.end.height, block_hash=view.end.hash, tip_height=view.tip.height, followed_at=now
    )
    return moved == 1


def _remember(chain: str, view: View) -> None:
    blocks = FollowedBlock.objects.filter(chain=chain)
    if view.rewound:
        blocks.filter(height__gt=view.ancestor.height).delete()
    if view.blocks:
        FollowedBlock.objects.bulk_create([_followed(chain, block) for block, _ in view.blocks])
        blocks.filter(height__gt=0, height__lte=view.end.height - KEPT_BLOCKS).delete()


def _followed(chain: str, block: Block) -> FollowedBlock:
    return FollowedBlock(chain=chain, height=block.height, block_hash=block.hash, parent_hash=block.parent)

"""What a node says at the beginning of a step: how its chain goes on from what was followed, and what of it is about
us. Nothing is written here, and no transaction is open while a node is waited for. Used by `deposits`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings

from ico import arrivals
from ico.arrivals import Arrival
from ico.chains import follow as following
from ico.chains.base import (
    BadAnswer,
    Block,
    ChainClient,
    ChainUnavailable,
    MempoolUnread,
    NodeBehind,
    Transfer,
    WrongChain,
)
from ico.chains.follow import Advance, Behind, Diverged, Point, Rewind
from ico.models import Chain

logger = logging.getLogger(__name__)

MOST_BLOCKS = 200
MOST_TRANSFERS = 20_000  # five full blocks of Bitcoin
MOST_ARRIVALS = 20  # of ours: the transaction that takes them in makes signups wait
BLOCKS_AT_ONCE = 10  # whose transfers are asked for together
LOOKS = 3


class TipBelow(NodeBehind):
    """The node's tip is below what was followed, and contradicts nothing of it."""


class _Moved(Exception):
    """The chain changed while it was read: look again."""


@dataclass(frozen=True, slots=True)
class View:
    """The node's chain from `ancestor`, the newest block that it shares with what was followed."""

    tip: Block
    ancestor: Point
    blocks: Sequence[Block]
    arrivals: Sequence[Arrival]  # in these blocks, without those that failed
    failed: frozenset[str]  # txids in these blocks that say they pay us, and moved nothing
    final: int  # up to which height what is followed after this step counts as final

    @property
    def end(self) -> Point:
        return _point(self.blocks[-1]) if self.blocks else self.ancestor

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the node's chain is left to be followed."""
        return self.end.hash == self.tip.hash


class Mempool:
    """What waits in a node's mempool and concerns us. A client tells each transaction once, so what a step heard and
    could not take in is kept for the next one, with the moment at which it was heard."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._heard: Sequence[Transfer] = ()
        self._heard_at: datetime | None = None
        self._asked_up_to = 0
        self._is_unread = False
        self.is_whole = False  # whether all that waits there was told, or all that ever will be
        self.has_more = False  # whether asking again would tell more of it

    def appeared(self, now: datetime) -> list[Arrival]:
        """Nothing new is asked for while earlier news wait: they stay bounded, and are of one moment."""
        self.is_whole, self.has_more = False, bool(self._heard)
        if not self._heard:
            self._ask(now)
        found = arrivals.ours(self._client.chain, ((transfer, None) for transfer in self._heard))
        self._heard = [arrival.transfer for arrival in found]
        return [replace(arrival, heard_at=self._heard_at) for arrival in found]

    def _ask(self, now: datetime) -> None:
        """A mempool that cannot be read does not keep anybody from following the blocks."""
        try:
            self._heard, self._heard_at = self._client.appeared(), now
        except MempoolUnread as error:
            if not self._is_unread:
                logger.warning("%s payments show only when a block has them: %s", self._client.chain, error)
            self._is_unread = self.is_whole = True
            return
        self._is_unread = False
        self.has_more = self._client.more_appeared()
        self.is_whole = not self.has_more

    def taken_in(self) -> None:
        self._heard = ()

    def gone(self) -> set[str]:
        """The txids of waiting deposits that the node does not know any more; of many, a part each time. None while its
        mempool cannot be read."""
        if self._is_unread:
            return set()
        waiting, self._asked_up_to = arrivals.waiting(self._client.chain, after=self._asked_up_to)
        return waiting - self._client.waiting(waiting) if waiting else set()


def look(client: ChainClient, *, stored: Sequence[Point], patient: Callable[[int], bool]) -> View:
    """`patient` is asked about the height of a tip that is below what was followed, once for each look at it. Raises
    `TipBelow` as long as it is, `WrongChain` when nothing is left in common, `BadAnswer` when the node's blocks do not
    make a chain, and whatever the client raises."""
    for _ in range(LOOKS):
        try:
            return _look(client, stored, patient)
        except _Moved:
            continue
    raise ChainUnavailable(f"the node's chain changed {LOOKS} times while it was read")


def _look(client: ChainClient, stored: Sequence[Point], patient: Callable[[int], bool]) -> View:
    # Before the blocks: what it calls final is then on the same chain as the blocks that are read after it.
    finalized = _finalized(client)
    tip = client.tip()

    def hash_at(height: int) -> str:
        block = client.blocks([height])[0]
        if block is None:
            raise _Moved
        return block.hash

    waits = tip.height < stored[-1].height and patient(tip.height)
    decision = following.decide(stored, tip=_point(tip), hash_at=hash_at, most=MOST_BLOCKS, patient=waits)
    match decision:
        case Behind():
            raise TipBelow("the node is behind what was followed")
        case Diverged():
            raise WrongChain(f"none of the {len(stored)} newest blocks that were followed is on the node's chain")
        case Advance(first=first, last=last):
            ancestor = stored[-1]
        case Rewind(ancestor=ancestor, first=first, last=last):
            pass
        case _:
            ancestor, first, last = stored[-1], 1, 0
    blocks, found, failed = _about_us(client, _linked(client, ancestor, range(first, last + 1)))
    end = blocks[-1].height if blocks else ancestor.height
    final = end - settings.CONFIRMATIONS[client.chain] + 1 if finalized is None else min(finalized, end)
    return View(tip, ancestor, blocks, found, frozenset(failed), final)


def _finalized(client: ChainClient) -> int | None:
    """None where the depth decides."""
    if client.chain != Chain.ETH or settings.ETH_FINALITY != "finalized":
        return None
    height = client.final_height()
    if height is None:
        raise BadAnswer("the node does not say which of its blocks are final")
    return height


def _linked(client: ChainClient, ancestor: Point, heights: Sequence[int]) -> list[Block]:
    """The node's blocks that go on from the ancestor; fewer if a reorg came while they were fetched."""
    if not heights:
        return []
    fetched = client.blocks(heights)
    linked = following.joined(fetched, after=ancestor)
    first = fetched[0]
    if not linked and first is not None:
        again = client.blocks([ancestor.height, heights[0]])
        if following.parent_missing(first, ancestor=ancestor, again=again):
            raise BadAnswer(
                f"missing parent: block {heights[0]} calls itself {first.height} after {first.parent},"
                f" and block {ancestor.height} is {ancestor.hash}"
            )
    if not linked:
        raise _Moved
    return linked


def _about_us(client: ChainClient, blocks: Sequence[Block]) -> tuple[list[Block], list[Arrival], set[str]]:
    """As many of the blocks as one step takes in, with what arrives in them and what failed. Receipts are dear on
    Ethereum: they are asked for only of what says that it pays us."""
    taken: list[Block] = []
    found: list[Arrival] = []
    failed: set[str] = set()
    for block, arrived in _matched(client, blocks):
        txids = {arrival.transfer.txid for arrival in arrived}
        moved = _moved(client, block, txids) if txids else set()
        taken.append(block)
        found += [arrival for arrival in arrived if arrival.transfer.txid in moved]
        failed |= txids - moved
        if len(found) >= MOST_ARRIVALS:
            break
    return taken, found, failed


def _moved(client: ChainClient, block: Block, txids: set[str]) -> set[str]:
    """A block that was given up since it was read has no receipts: that is no lie of the node's."""
    try:
        return client.moved(block, txids)
    except BadAnswer:
        again = client.blocks([block.height])[0]
        if again is None or again.hash != block.hash:
            raise _Moved from None
        raise


def _matched(client: ChainClient, blocks: Sequence[Block]) -> Iterator[tuple[Block, list[Arrival]]]:
    read = 0
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        some = blocks[start : start + BLOCKS_AT_ONCE]
        transfers = list(zip(some, client.transfers(some), strict=True))
        matched = arrivals.ours(client.chain, ((one, block) for block, found in transfers for one in found))
        for block in some:
            yield block, [arrival for arrival in matched if arrival.block is block]
        read += sum(len(found) for _, found in transfers)
        if read >= MOST_TRANSFERS:
            return


def _point(block: Block) -> Point:
    return Point(block.height, block.hash)

"""What a node's chain says of us, read anew from its blocks: what an audit holds the books against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ico import arrivals
from ico.arrivals import Arrival, Key
from ico.chains import follow as following
from ico.chains.base import Block, ChainClient
from ico.chains.follow import Point
from ico.models import ChainCursor, FollowedBlock

BLOCKS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class OnChain:
    height: int
    address: str
    amount: int


class NothingAgreed(LookupError):
    """None of the blocks that were followed is on the node's chain."""


class StillMoving(RuntimeError):
    """The chain was reorganised each time that it was read."""


def agreed(chain: str, client: ChainClient) -> Point:
    """The highest block of those followed that is on the node's chain; below the cursor while a reorg has not been
    followed yet, or while the node is behind. Raises `NothingAgreed`."""
    rows = FollowedBlock.objects.filter(chain=chain).order_by("height").values_list("height", "block_hash")
    points = [Point(height, block_hash) for height, block_hash in rows]
    found = following.newest_of(points, lambda point: is_there(client, point))
    if found is None:
        raise NothingAgreed(f"none of the {len(points)} {chain} blocks that were followed is on the node's chain")
    return found


def is_there(client: ChainClient, point: Point) -> bool:
    block = client.blocks([point.height])[0]
    return block is not None and block.hash == point.hash


def transfers_to_us(chain: str, client: ChainClient, *, last: int) -> dict[Key, OnChain]:
    """Every transfer that really moved something to us, from where following began up to a height, by (txid,
    position)."""
    start = ChainCursor.objects.values_list("start_height", flat=True).get(chain=chain) or 0
    found: dict[Key, OnChain] = {}
    for first in range(start, last + 1, BLOCKS_AT_ONCE):
        asked = client.blocks(range(first, min(last + 1, first + BLOCKS_AT_ONCE)))
        for arrival in _really(client, [block for block in asked if block is not None]):
            found[arrival.key] = _seen(arrival)
    return found


def _really(client: ChainClient, blocks: Sequence[Block]) -> Iterator[Arrival]:
    transfers = zip(blocks, client.transfers(blocks), strict=True)
    matched = arrivals.ours(client.chain, ((one, block) for block, found in transfers for one in found))
    for block in blocks:
        mine = [arrival for arrival in matched if arrival.block is block]
        moved = client.moved(block, {arrival.transfer.txid for arrival in mine}) if mine else set()
        yield from (arrival for arrival in mine if arrival.transfer.txid in moved)


def _seen(arrival: Arrival) -> OnChain:
    height = -1 if arrival.block is None else arrival.block.height
    return OnChain(height=height, address=arrival.transfer.address, amount=arrival.transfer.amount)

"""What a follower does next: advance, rewind to the common ancestor first, wait, or be patient with the node. Pure.

Hashes are followed, not heights: a chain that was reorganised can have the same height with other blocks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ico.chains.base import Block

HashAt = Callable[[int], str]  # the node's main chain: its block's hash at a height, its tip's at most


@dataclass(frozen=True, slots=True)
class Point:
    height: int
    hash: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Everything the node has is followed."""


@dataclass(frozen=True, slots=True)
class Advance:
    first: int
    last: int  # inclusive


@dataclass(frozen=True, slots=True)
class Rewind:
    """Undo what stands above the ancestor, then go on from there. `last` below `first` if nothing is to be followed."""

    ancestor: Point
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Behind:
    """The node's tip is lower than what was followed and contradicts nothing of it: it has not caught up, or the chain
    itself went back. Only time tells which."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """None of the kept blocks is on the node's chain: deeper than any reorg, or another chain."""


Decision = Wait | Advance | Rewind | Behind | Diverged


def decide(stored: Sequence[Point], *, tip: Point, hash_at: HashAt, most: int, patient: bool) -> Decision:
    """`stored` is what was followed, rising by height, never empty; at most `most` blocks are followed in one step.
    `patient`: a node that is behind is given more time; else the chain itself is taken to have gone back. One whose
    blocks all lie below the kept ones is behind however long it takes: nothing says that it is on another chain."""
    newest = stored[-1]
    within = [point for point in stored if point.height <= tip.height]

    if not within:
        return Behind()

    def on_chain(point: Point) -> bool:
        return (tip.hash if point.height == tip.height else hash_at(point.height)) == point.hash

    ancestor = newest_of(within, on_chain)
    contradicted = ancestor != within[-1]
    if tip.height < newest.height and not contradicted and patient:
        return Behind()
    if ancestor is None:
        return Diverged()
    first, last = ancestor.height + 1, min(tip.height, ancestor.height + most)
    if ancestor != newest:
        return Rewind(ancestor=ancestor, first=first, last=last)
    return Advance(first=first, last=last) if first <= last else Wait()


def newest_of(points: Sequence[Point], on_chain: Callable[[Point], bool]) -> Point | None:
    """The highest of the points that is on a chain, which then has all those below it too. Asks for few: most often it
    is the highest, and most reorgs are shallow."""
    if not points:
        return None
    off, on, stride = len(points), len(points) - 1, 1
    while not on_chain(points[on]):
        if on == 0:
            return None
        off, on, stride = on, max(0, on - stride), stride * 2
    while off - on > 1:
        middle = (on + off) // 2
        if on_chain(points[middle]):
            on = middle
        else:
            off = middle
    return points[on]


def first_height_after(moment: int, *, tip_height: int, time_at: Callable[[int], int | None]) -> int:
    """The lowest height whose block is not older than `moment` (or tip + 1): back from the tip by 1, 2, 4 and so on
    until a block is older, then by halving; block times rise enough. The beginning of the chain is not asked for unless
    `moment` is that old: nodes may have thrown it away."""

    def is_older(height: int) -> bool:
        time = time_at(height)
        return time is not None and time < moment

    high, low, stride = tip_height + 1, tip_height, 1
    while low >= 0 and not is_older(low):
        high, low, stride = low, max(-1, low - stride), stride * 2
    while high - low > 1:
        middle = (low + high) // 2
        if is_older(middle):
            low = middle
        else:
            high = middle
    return high


def joined(blocks: Sequence[Block | None], *, after: Point) -> list[Block]:
    """The leading blocks that form one chain with `after`: what came behind a seam was fetched during a reorg."""
    chain: list[Block] = []
    end = after
    for block in blocks:
        if block is None or block.parent != end.hash or block.height != end.height + 1:
            break
        chain.append(block)
        end = Point(block.height, block.hash)
    return chain


def parent_missing(first: Block, *, ancestor: Point, again: Sequence[Block | None]) -> bool:
    """Whether a block that does not join its ancestor contradicts it, or whether a reorg came in between: `again` is
    what the node says of both when it is asked once more."""
    hashes = [block and block.hash for block in again]
    return hashes == [ancestor.hash, first.hash]

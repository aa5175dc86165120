"""What a follower does next: advance, rewind to the common ancestor first, or wait. Pure.

Hashes are followed, not heights: a chain that was reorganised can have the same height with other blocks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ico.chains.base import Block

HashAt = Callable[[int], str | None]  # the node's main chain: its block's hash at a height, or None above its tip


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
class Diverged:
    """None of the kept blocks is on the node's chain: deeper than any reorg, or another chain."""


Decision = Wait | Advance | Rewind | Diverged


def decide(stored: Sequence[Point], *, tip_height: int, hash_at: HashAt, most: int) -> Decision:
    """`stored` is what was followed, rising by height, never empty; at most `most` blocks are followed in one step."""
    newest = stored[-1]
    ancestor = next((point for point in reversed(stored) if hash_at(point.height) == point.hash), None)
    if ancestor is None:
        return Diverged()
    first, last = ancestor.height + 1, min(tip_height, ancestor.height + most)
    if ancestor != newest:
        return Rewind(ancestor=ancestor, first=first, last=last)
    return Advance(first=first, last=last) if first <= last else Wait()


def first_height_after(moment: int, *, tip_height: int, time_at: Callable[[int], int | None]) -> int:
    """The lowest height whose block is not older than `moment` (or tip + 1), by halving: block times rise enough."""
    low, high = 0, tip_height + 1
    while low < high:
        middle = (low + high) // 2
        time = time_at(middle)
        if time is not None and time < moment:
            low = middle + 1
        else:
            high = middle
    return low


def joined(blocks: Sequence[Block], *, after: Point) -> list[Block]:
    """The leading blocks that form one chain with `after`: what came behind a seam was fetched during a reorg."""
    chain: list[Block] = []
    parent = after.hash
    for block in blocks:
        if block.parent != parent:
            break
        chain.append(block)
        parent = block.hash
    return chain

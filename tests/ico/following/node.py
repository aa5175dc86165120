"""A node whose chain is followed, as tests of the follower want it, and steps that many of them take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ico.chains.base import Block, ChainUnavailable, Transfer
from ico.chains.simulated import SimulatedChain
from ico.models import ChainCursor, Invitation, LedgerEntry
from tests.ico.people import address_of

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


def cursor() -> ChainCursor:
    return ChainCursor.objects.get(chain="ETH")


def pay(node: Node, person: Invitation, *, blocks: int = DEPTH) -> str:
    txid = node.send(address_of(person, "ETH"), ETHER // 10)
    node.mine(blocks)
    return txid


def entries() -> list[int]:
    return list(LedgerEntry.objects.order_by("pk").values_list("cents", flat=True))


def unavailable() -> Any:
    """Put in the place of a call of the node, which is then gone."""
    raise ChainUnavailable("gone")

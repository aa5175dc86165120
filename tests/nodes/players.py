"""Who pays, mines and reorganises in a test, on whichever chain: a real node's player, or the simulated chain's.

A player says itself what really arrived, by a way that has nothing to do with the client that is tested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ico.chains.base import Block, ChainClient
from ico.chains.simulated import SimulatedChain

Key = tuple[str, int]  # (txid, position), as deposits are known
Arrived = Mapping[Key, tuple[str, int]]  # the address, as blocks write it, and the amount

REPLACEMENT = 5 / 4  # how much more a replacement pays: more than any node asks for


class Player(Protocol):
    """Amounts are satoshi or wei; txids are those of payments made by this player."""

    chain: str

    def client(self) -> ChainClient:
        """What is tested: a new one, as another process would have it."""
        ...

    def prepare(self, addresses: Collection[str]) -> None:
        """Before the first block that may be given up: whatever the node needs to know of our addresses."""
        ...

    def pay(self, outputs: Sequence[tuple[str, int]], *, fails: bool = False) -> list[str]:
        """In as few transactions as the chain needs; their txids. One that `fails` gets into a block and moves nothing,
        which Bitcoin does not know."""
        ...

    def mine(self, count: int = 1) -> None:
        """Blocks with everything that waits."""
        ...

    def height(self) -> int: ...

    def waiting(self) -> list[str]: ...

    def newest(self, depth: int) -> list[str]:
        """The payments in the newest blocks."""
        ...

    def reorg(self, depth: int, *, length: int, dropped: Collection[str] = (), mined_again: bool = False) -> None:
        """Other blocks, `length` of them, in place of the newest `depth`. What was in these waits again, or is in the
        new ones at once if `mined_again`; the `dropped` are gone for good."""
        ...

    def replace(self, txid: str) -> str:
        """The same payment with a higher fee; its new txid."""
        ...

    def double_spend(self, txid: str, address: str) -> str:
        """Another payment out of the same coin, to somebody else, takes the place of this one."""
        ...

    def drop(self, txid: str) -> None: ...

    def stop(self) -> None: ...

    def start(self) -> None: ...

    def arrived(self, addresses: Collection[str], *, up_to: int) -> Arrived:
        """By walking all blocks up to this height."""
        ...

    def held(self, addresses: Collection[str]) -> int:
        """What they hold together at the tip: nobody spends it."""
        ...


class SimulatedPlayer:
    """The chain in a file is its own player; it has no process that could stop."""

    def __init__(self, path: Path, *, chain: str) -> None:
        self.path, self.chain = path, chain
        self.node = SimulatedChain(path, chain=chain)
        self._fee = 10**12

    def client(self) -> ChainClient:
        return SimulatedChain(self.path, chain=self.chain)

    def prepare(self, addresses: Collection[str]) -> None:
        pass

    def pay(self, outputs: Sequence[tuple[str, int]], *, fails: bool = False) -> list[str]:
        return [self.node.send_many(outputs, fee=10**12, fails=fails)]

    def mine(self, count: int = 1) -> None:
        self.node.mine(count)

    def height(self) -> int:
        return self.node.tip().height

    def waiting(self) -> list[str]:
        return list(dict.fromkeys(transfer.txid for transfer in self.node.mempool()))

    def newest(self, depth: int) -> list[str]:
        blocks = self._blocks(range(self.height() - depth + 1, self.height() + 1))
        return list(dict.fromkeys(t.txid for transfers in self.node.transfers(blocks) for t in transfers))

    def reorg(self, depth: int, *, length: int, dropped: Collection[str] = (), mined_again: bool = False) -> None:
        self.node.reorg(depth, length=length, dropped=dropped, mined_again=mined_again)

    def replace(self, txid: str) -> str:
        self._fee += 1
        return self.node.replace(txid, fee=self._fee)

    def double_spend(self, txid: str, address: str) -> str:
        self.node.drop(txid)
        return self.node.send(address, 1, fee=self._fee)

    def drop(self, txid: str) -> None:
        self.node.drop(txid)

    def stop(self) -> None:
        self.node.close()

    def start(self) -> None:
        pass

    def arrived(self, addresses: Collection[str], *, up_to: int) -> Arrived:
        blocks = self._blocks(range(up_to + 1))
        return {
            (t.txid, t.position): (t.address, t.amount)
            for block, transfers in zip(blocks, self.node.transfers(blocks), strict=True)
            for t in transfers
            if t.address in addresses and t.txid in self.node.moved(block, {t.txid})
        }

    def held(self, addresses: Collection[str]) -> int:
        return sum(self.node.balances(sorted(addresses)).amounts)

    def _blocks(self, heights: range) -> list[Block]:
        return [block for block in self.node.blocks([h for h in heights if h >= 0]) if block is not None]

"""What the project knows of a chain, whichever node tells it.

Amounts are whole satoshi or wei. Addresses are written as blocks write them, in lower case on Ethereum: their checksum
costs more than the look-up that follows. Hashes and txids are lower-case hex, with 0x on Ethereum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

SIMULATED = "simulated"  # the network of a chain that no node keeps


class ChainError(Exception):
    """Something is wrong between us and a chain's node."""


class ChainUnavailable(ChainError):
    """The node does not answer: try later."""


class MempoolUnread(ChainUnavailable):
    """The node answers, but not what waits in its mempool: too much of it, or not to us. Blocks may be followed on, and
    nothing is known to have been dropped."""


class ChainBusy(ChainError):
    """The node asks us to slow down."""


class WrongChain(ChainError):
    """The node follows another chain than the books do: never again, until an operator has looked."""


class BadAnswer(ChainError):
    """The node's answer cannot be true: nothing of it is taken over, and the message names what is wrong with it."""


class NodeBehind(ChainError):
    """The node has not caught up with what was followed already: what is there is kept, nothing is credited."""


@dataclass(frozen=True, slots=True)
class Block:
    height: int
    hash: str
    parent: str
    time: int  # Unix seconds, as the miner wrote them: Bitcoin allows two hours of error
    base_fee: int
    gas_used: int
    gas_limit: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Value that arrives at an address. `position` is the output's index on Bitcoin, 0 on Ethereum."""

    txid: str
    position: int
    address: str
    amount: int


@dataclass(frozen=True, slots=True)
class FeeReading:
    """As eth_feeHistory answers, oldest first: n ratios, n + 1 base fees (the last is the next block's) and n median
    tips, in wei per gas."""

    gas_used_ratios: tuple[float, ...]
    base_fees: tuple[int, ...]
    tips: tuple[int, ...]
    newest_at: int  # time of the newest block in it


@dataclass(frozen=True, slots=True)
class Balances:
    """What addresses hold, in the order in which they were asked for, after one block of the main chain."""

    block: Block
    amounts: tuple[int, ...]


class ChainClient(Protocol):
    """A node. Every call may raise any `ChainError`. Calls are not one snapshot: between two of them the chain may have
    moved on or back."""

    @property
    def chain(self) -> str: ...

    def network(self) -> str:
        """What the node says it is part of: Bitcoin's name for it (main, test, testnet4, signet, regtest), Ethereum's
        chain id in decimal, or `SIMULATED`."""
        ...

    def tip(self) -> Block:
        """Raises `NodeBehind` when the node itself says that it is still catching up."""
        ...

    def blocks(self, heights: Sequence[int]) -> list[Block | None]:
        """The main chain's blocks at these heights, None where it has none."""
        ...

    def transfers(self, blocks: Sequence[Block]) -> list[Sequence[Transfer]]:
        """What the transactions of each block say that they move, also those that `moved` nothing."""
        ...

    def moved(self, block: Block, txids: Collection[str]) -> set[str]:
        """Those of the block's transactions that really moved what they say: on Ethereum a failed one is in a block
        too. Raises `BadAnswer` when the node has no receipt of one in this block."""
        ...

    def appeared(self) -> Sequence[Transfer]:
        """What waits in the mempool and was not told by this client before; bounded. Empty where there is none, and
        while the client does not look. May raise `MempoolUnread`."""
        ...

    def more_appeared(self) -> bool:
        """Whether the last `appeared` left something that waits untold, because it is bounded."""
        ...

    def waiting(self, txids: Collection[str]) -> set[str]:
        """Those that the node still knows, waiting or in a block; the others were dropped or replaced."""
        ...

    def final_height(self) -> int | None:
        """Up to which height the chain itself calls its blocks final; None where it has no word for that."""
        ...

    def balances(self, addresses: Sequence[str]) -> Balances: ...


class GaugedClient(ChainClient, Protocol):
    """A node of a chain whose load is known."""

    def fee_history(self, blocks: int) -> FeeReading: ...

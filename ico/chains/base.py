"""What the project knows of a chain, whichever node tells it.

Amounts are whole satoshi or wei. Addresses come in the one form in which `hd` writes them: segwit in lower case,
Ethereum with its EIP-55 checksum. Hashes and txids are lower-case hex, with 0x on Ethereum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class ChainError(Exception):
    """Something is wrong between us and a chain's node."""


class ChainUnavailable(ChainError):
    """The node does not answer: try later."""


class ChainBusy(ChainError):
    """The node asks us to slow down."""


class WrongChain(ChainError):
    """The node follows another chain than the books do: never again, until an operator has looked."""


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
    """As eth_feeHistory answers: n ratios, oldest first, and n + 1 base fees, the last being the next block's."""

    gas_used_ratios: tuple[float, ...]
    base_fees: tuple[int, ...]
    newest_at: int  # time of the newest block in it


class ChainClient(Protocol):
    """A node. Every call may raise ChainUnavailable or ChainBusy. Calls are not one snapshot: between two of them the
    chain may have moved on or back."""

    @property
    def chain(self) -> str: ...

    def tip(self) -> Block: ...

    def block_at(self, height: int) -> Block | None: ...

    def block_by_hash(self, block_hash: str) -> Block | None: ...

    def transfers(self, block: Block) -> Sequence[Transfer]:
        """What the block really moves: transactions that failed carry a value too and are left out."""
        ...

    def mempool(self) -> Sequence[Transfer]: ...

    def fee_history(self, blocks: int) -> FeeReading: ...

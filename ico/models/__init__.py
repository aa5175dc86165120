"""The sale's tables.

Money of the sale is whole cents of the sale's currency; money on a chain is whole satoshi or wei (a wei amount passes
64 bits at 9.2 ETH, hence `AmountField`). Each table is written by one module only, named in its docstring.
"""

from ico.models.money import ChainCursor, ChainReading, Deposit, DepositAddress, FollowedBlock, LedgerEntry
from ico.models.sale import Chain, Entrant, Invitation, Rate, Release, Sale, Terms
from ico.models.work import Lease, OutboxMessage

__all__ = [
    "Chain",
    "ChainCursor",
    "ChainReading",
    "Deposit",
    "DepositAddress",
    "Entrant",
    "FollowedBlock",
    "Invitation",
    "Lease",
    "LedgerEntry",
    "OutboxMessage",
    "Rate",
    "Release",
    "Sale",
    "Terms",
]

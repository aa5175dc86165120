"""What an Ethereum node answered, read strictly: each function takes parsed JSON and returns what it says, or raises
`BadAnswer` naming what cannot be true. Nothing is guessed: no field has a value when it is missing, except the base fee
of blocks older than base fees."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial
from typing import Any

from ico.chains import answers
from ico.chains.answers import listing, mapping, shown
from ico.chains.base import BadAnswer, Block, Transfer

MOST_WEI = 2**128  # more than there will ever be; a development node may hand out a lot
MOST = 2**53  # heights, times and gas: whatever counts them counts further
LATEST = 2**37  # seconds: the year 6325, which every calendar of ours can write
_HASH = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")

digest = partial(answers.digest, form=_HASH)


def quantity(told: Any, what: str, *, most: int = MOST) -> int:
    """A whole number as hex with 0x, below `most`."""
    if not isinstance(told, str) or not _QUANTITY.fullmatch(told) or (number := int(told, 16)) >= most:
        raise BadAnswer(f"{what} cannot be {shown(told)}")
    return number


def header(told: Any, what: str) -> Block:
    """Of a block that is mined: one that is pending has no hash. The main network has base fees since its block
    12,965,000; nodes leave them out before that."""
    answer = mapping(told, what)

    def number(name: str, most: int = MOST) -> int:
        return quantity(answer.get(name), f"the {name} of {what}", most=most)

    block = Block(
        height=number("number"),
        hash=digest(answer.get("hash"), f"the hash of {what}"),
        parent=digest(answer.get("parentHash"), f"the parent of {what}"),
        time=number("timestamp", LATEST),
        base_fee=number("baseFeePerGas", MOST_WEI) if "baseFeePerGas" in answer else 0,
        gas_used=number("gasUsed"),
        gas_limit=number("gasLimit"),
    )
    if block.gas_used > block.gas_limit:
        raise BadAnswer(f"{what} is said to use {block.gas_used} gas of {block.gas_limit}")
    return block


def header_at(told: Any, height: int) -> Block | None:
    """None: the chain has no block there."""
    if told is None:
        return None
    block = header(told, f"block {height}")
    if block.height != height:
        raise BadAnswer(f"asked for the block at {height}, the node answered with that at {block.height}")
    return block


def transfers(told: Any, of: Block) -> list[Transfer]:
    """What the transactions of this block say that they move."""
    what = f"block {of.height} ({of.hash})"
    found = header(told, what)
    if (found.hash, found.height, found.parent) != (of.hash, of.height, of.parent):
        raise BadAnswer(f"asked for {what}, the node answered with {found.hash} at {found.height}")
    return payments(mapping(told, what), what)


def payments(block: dict[str, Any], what: str) -> list[Transfer]:
    """Of a block with its whole transactions. One without a receiver makes a contract, and pays nobody."""
    read = [_payment(one, what) for one in listing(block.get("transactions"), f"the list of transactions in {what}")]
    if len({txid for txid, _ in read}) != len(read):
        raise BadAnswer(f"{what} is said to hold a transaction twice")
    return [transfer for _, transfer in read if transfer is not None]


def _payment(told: Any, what: str) -> tuple[str, Transfer | None]:
    transaction = mapping(told, f"a transaction in {what}")
    txid = digest(transaction.get("hash"), f"a txid in {what}")
    if "to" not in transaction:
        raise BadAnswer(f"transaction {txid} does not say whom it pays")
    receiver = transaction["to"]
    if receiver is None:
        return txid, None
    if not isinstance(receiver, str) or not _ADDRESS.fullmatch(receiver):
        raise BadAnswer(f"transaction {txid} pays {shown(receiver)}, which is no address")
    amount = quantity(transaction.get("value"), f"the value of {txid}", most=MOST_WEI)
    return txid, Transfer(txid, 0, receiver.lower(), amount)


def is_known(told: Any, txid: str) -> bool:
    """Whether there is such a transaction, waiting or in a block."""
    if told is None:
        return False
    said = mapping(told, f"transaction {txid}").get("hash")
    if said != txid:
        raise BadAnswer(f"asked for transaction {txid}, the node answered with {shown(said)}")
    return True


def succeeded(told: Any, *, txid: str, block: Block) -> bool:
    """Whether the transaction did what it says, by its receipt in this block."""
    if told is None:
        raise BadAnswer(f"the node has no receipt of {txid}, which is in block {block.height}")
    receipt = mapping(told, f"the receipt of {txid}")
    if receipt.get("transactionHash") != txid:
        raise BadAnswer(f"asked for the receipt of {txid}, got that of {shown(receipt.get('transactionHash'))}")
    if receipt.get("blockHash") != block.hash:
        raise BadAnswer(f"the receipt of {txid} is of {shown(receipt.get('blockHash'))}, not of {block.hash}")
    return quantity(receipt.get("status"), f"the status of {txid}", most=2) == 1


def ratio(told: Any) -> float:
    """How full a block was."""
    if type(told) not in (int, Decimal) or not 0 <= told <= 1:
        raise BadAnswer(f"a block cannot be {shown(told)} full")
    return float(told)


def tips(told: Any, ratios: list[float]) -> list[int]:
    """The one asked for of each block. A node may leave them out, where nobody can have paid any."""
    if told is None and not any(ratios):
        return [0] * len(ratios)
    rows = [listing(row, "the tips of a block") for row in listing(told, "the list of tips")]
    if any(len(row) != 1 for row in rows):
        raise BadAnswer("the node names other tips than the one that was asked for")
    return [quantity(row[0], "a tip", most=MOST_WEI) for row in rows]

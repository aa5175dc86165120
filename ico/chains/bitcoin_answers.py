"""What a Bitcoin node answered, read strictly: each function takes parsed JSON (numbers with a point as Decimal) and
returns what it says, or raises `BadAnswer` naming what cannot be true. Nothing is guessed, nothing is rounded."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial
from typing import Any

from ico.chains import answers
from ico.chains.answers import listing, mapping, shown
from ico.chains.base import BadAnswer, Block, Transfer

COIN = 100_000_000
MOST_COINS = 21_000_000  # there will never be more, so no output holds more
PLACES = 8
NO_PARENT = "0" * 64  # what the first block itself says
_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[0-9A-Za-z]{14,100}")  # its checksum is not our business: it is matched with addresses we made
_SCANNED = re.compile(r"addr\(([0-9A-Za-z]+)\)#[0-9a-z]{8}")
_NUMBERS = range(2**31)
_TIMES = range(2**32)

digest = partial(answers.digest, form=_HASH)


def digests(told: Any, what: str) -> list[str]:
    return [digest(one, f"one of {what}") for one in listing(told, what)]


def number(told: Any, what: str) -> int:
    """A height, or how many there are of something."""
    if type(told) is not int or told not in _NUMBERS:
        raise BadAnswer(f"{what} cannot be {shown(told)}")
    return told


def satoshi(told: Any, what: str) -> int:
    """Coins as whole satoshi, exactly."""
    if type(told) not in (Decimal, int) or not 0 <= told <= MOST_COINS:
        raise BadAnswer(f"{what} cannot be {shown(told)} BTC")
    if isinstance(told, int):
        return told * COIN
    exponent = told.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise BadAnswer(f"{what} has more than {PLACES} places: {shown(told)} BTC")
    return int(told * COIN)  # 16 digits at most: exact


def transactions_in(told: Any, *, of: str) -> int:
    """How many, by the header of the block with the hash `of`."""
    return number(mapping(told, f"the header of block {of}").get("nTx"), f"the number of transactions in block {of}")


def header(told: Any, *, of: str) -> Block:
    """The block with the hash `of`. Bitcoin has no gas, so what a block says of it is 0."""
    answer = mapping(told, f"the header of block {of}")
    if answer.get("hash") != of:
        raise BadAnswer(f"asked for block {of}, the node answered with {shown(answer.get('hash'))}")
    height = number(answer.get("height"), f"the height of block {of}")
    parent = answer.get("previousblockhash", NO_PARENT if height == 0 else None)
    time = answer.get("time")
    if type(time) is not int or time not in _TIMES:
        raise BadAnswer(f"the time of block {of} cannot be {shown(time)}")
    return Block(height, of, digest(parent, f"the parent of block {of}"), time, 0, 0, 0)


def transactions(told: Any, *, of: str) -> list[Any]:
    """What stands in the block with the hash `of`: txids or whole transactions, as it was asked for."""
    answer = mapping(told, f"block {of}")
    if answer.get("hash") != of:
        raise BadAnswer(f"asked for block {of}, the node answered with {shown(answer.get('hash'))}")
    found = listing(answer.get("tx"), f"the list of transactions in block {of}")
    if not found:
        raise BadAnswer(f"block {of} is said to hold no transaction: each block has one that pays its miner")
    return found


def transfers(told: Any, *, of: str) -> list[Transfer]:
    """Every output with an address in the block with the hash `of`."""
    return [transfer for one in transactions(told, of=of) for transfer in outputs(one, where=f"block {of}")]


def waiting(told: Any, *, of: str) -> list[Transfer]:
    """Every output with an address of the transaction `of`, which waits in the mempool."""
    txid = mapping(told, f"transaction {of}").get("txid")
    if txid != of:
        raise BadAnswer(f"asked for transaction {of}, the node answered with {shown(txid)}")
    return outputs(told, where="the mempool")


def is_valid(told: Any, *, of: str) -> bool:
    """Whether the transaction `of` waits or is in a block of the main chain, and not in one that was given up."""
    answer = mapping(told, f"transaction {of}")
    return "blockhash" not in answer or number(answer.get("confirmations", 0), f"the confirmations of {of}") > 0


def outputs(told: Any, *, where: str) -> list[Transfer]:
    """The outputs of a transaction that have an address; nobody is paid by the others."""
    transaction = mapping(told, f"a transaction in {where}")
    txid = digest(transaction.get("txid"), f"a txid in {where}")
    found = []
    for position, output in enumerate(listing(transaction.get("vout"), f"the list of outputs of {txid}")):
        address = _address(output, position, txid)
        if address is not None:
            amount = satoshi(output.get("value"), f"output {position} of {txid}")
            found.append(Transfer(txid, position, address, amount))
    return found


def _address(output: Any, position: int, txid: str) -> str | None:
    script = output.get("scriptPubKey") if isinstance(output, dict) else None
    if not isinstance(script, dict) or type(output.get("n")) is not int or output["n"] != position:
        raise BadAnswer(f"output {position} of {txid} is not one: {shown(output)}")
    address = script.get("address")
    if address is not None and not (isinstance(address, str) and _ADDRESS.fullmatch(address)):
        raise BadAnswer(f"output {position} of {txid} pays {shown(address)}, which is no address")
    return address


def unspent(told: Any) -> dict[str, int]:
    """Satoshi by address, as one scan of all unspent outputs found them."""
    answer = mapping(told, "the scan of unspent outputs")
    if answer.get("success") is not True:
        raise BadAnswer("the scan of unspent outputs did not come to its end")
    found: dict[str, int] = {}
    for one in listing(answer.get("unspents"), "the list of unspent outputs"):
        output = mapping(one, "an unspent output")
        named = _SCANNED.fullmatch(str(output.get("desc")))
        if named is None:
            raise BadAnswer(f"an unspent output pays {shown(output.get('desc'))}, which was not asked for")
        amount = satoshi(output.get("amount"), f"an unspent output of {named[1]}")
        found[named[1]] = found.get(named[1], 0) + amount
    return found

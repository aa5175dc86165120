"""What an Ethereum node says is read strictly: what cannot be true is named, and nothing gets a value by itself."""

from __future__ import annotations

import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ico.chains import ethereum_answers as answers
from ico.chains.base import BadAnswer, Block, Transfer
from tests.ico.chains import genesis

HASH, PARENT, TXID, OTHER = ("0x" + digit * 64 for digit in "abcd")
ADDRESS = "0x" + "5A" * 20
BLOCK = Block(5, HASH, PARENT, 1_700_000_000, 7, 21_000, 30_000_000)
HEADER = {
    "number": "0x5",
    "hash": HASH,
    "parentHash": PARENT,
    "timestamp": hex(BLOCK.time),
    "baseFeePerGas": "0x7",
    "gasUsed": "0x5208",
    "gasLimit": hex(BLOCK.gas_limit),
}
PAYMENT = {"hash": TXID, "to": ADDRESS, "value": hex(10**19)}
CREATION = {"hash": OTHER, "to": None, "value": "0x1"}
RECEIPT = {"transactionHash": TXID, "blockHash": HASH, "status": "0x1"}
NO_QUANTITIES = [
    None,
    5,
    5.0,
    True,
    "",
    "0x",
    "5",
    "-0x5",
    "0x-5",
    " 0x5",
    "0x5\n",
    "0xg",
    "0x" + "f" * 65,
    "9" * 80,
    [],
]
NO_HASHES = [None, 5, "", HASH[:-1], HASH + "a", HASH[2:], HASH.upper(), "0x" + "g" * 64, HASH + "\n", [HASH]]


def full(**changes: Any) -> dict[str, Any]:
    return {**HEADER, "transactions": [PAYMENT, CREATION], **changes}


def test_a_header_says_what_it_says() -> None:
    assert answers.header(HEADER, "it") == BLOCK
    assert answers.header_at(HEADER, 5) == BLOCK
    assert answers.header_at(None, 5) is None


@pytest.mark.parametrize("field", ["number", "timestamp", "baseFeePerGas", "gasUsed", "gasLimit"])
@pytest.mark.parametrize("value", NO_QUANTITIES)
def test_a_number_that_is_none_is_named(field: str, value: Any) -> None:
    with pytest.raises(BadAnswer, match=f"the {field} of it cannot be "):
        answers.header({**HEADER, field: value}, "it")


@pytest.mark.parametrize(("field", "value"), [("number", 2**53), ("timestamp", 2**37), ("baseFeePerGas", 2**128)])
def test_a_number_that_is_too_big_is_named(field: str, value: int) -> None:
    assert answers.header({**HEADER, field: hex(value - 1)}, "it")
    with pytest.raises(BadAnswer, match=f"the {field} of it cannot be '{hex(value)}'"):
        answers.header({**HEADER, field: hex(value)}, "it")


@pytest.mark.parametrize(("field", "named"), [("hash", "the hash of it"), ("parentHash", "the parent of it")])
@pytest.mark.parametrize("value", NO_HASHES)
def test_a_hash_that_is_none_is_named(field: str, named: str, value: Any) -> None:
    with pytest.raises(BadAnswer, match=f"{named} is no hash"):
        answers.header({**HEADER, field: value}, "it")


@pytest.mark.parametrize("field", [field for field in HEADER if field != "baseFeePerGas"])
def test_a_header_without_a_field_is_no_header(field: str) -> None:
    told = {name: value for name, value in HEADER.items() if name != field}
    with pytest.raises(BadAnswer):
        answers.header(told, "it")


def test_the_main_networks_first_block_has_no_base_fee() -> None:
    """And its hash is that of these fields, so they are copied right."""
    first = Block(0, genesis.ethereum_hash(), "0x" + "0" * 64, 0, 0, 0, 5_000)
    assert answers.header_at(genesis.ETHEREUM, 0) == first
    assert answers.transfers(genesis.ETHEREUM, first) == []
    with pytest.raises(BadAnswer, match="the baseFeePerGas of block 0 cannot be 'None'"):
        answers.header_at({**genesis.ETHEREUM, "baseFeePerGas": None}, 0)


def test_a_header_of_something_else_is_named() -> None:
    with pytest.raises(BadAnswer, match="asked for the block at 6, the node answered with that at 5"):
        answers.header_at(HEADER, 6)
    with pytest.raises(BadAnswer, match="it is said to use 31000000 gas of 30000000"):
        answers.header({**HEADER, "gasUsed": hex(31_000_000)}, "it")
    with pytest.raises(BadAnswer, match="it is no object: 'x'"):
        answers.header("x", "it")


def test_transfers_are_what_transactions_say_in_lower_case() -> None:
    assert answers.transfers(full(), BLOCK) == [Transfer(TXID, 0, ADDRESS.lower(), 10**19)]
    nothing = {**PAYMENT, "value": "0x0"}
    assert answers.transfers(full(transactions=[nothing]), BLOCK) == [Transfer(TXID, 0, ADDRESS.lower(), 0)]


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (full(hash=OTHER), "the node answered with 0xd"),
        (full(number="0x6"), "the node answered with .* at 6"),
        (full(parentHash=OTHER), "the node answered with"),
        (full(transactions=None), "the list of transactions in block 5 .* is no list"),
        (full(transactions={"0": PAYMENT}), "is no list"),
        (full(transactions=[TXID]), "a transaction in block 5 .* is no object"),
        (full(transactions=[PAYMENT, PAYMENT]), "said to hold a transaction twice"),
        (full(transactions=[{**PAYMENT, "hash": None}]), "a txid in block 5 .* is no hash"),
        (full(transactions=[{**PAYMENT, "to": ""}]), "pays '', which is no address"),
        (full(transactions=[{**PAYMENT, "to": ADDRESS[:-1]}]), "which is no address"),
        (full(transactions=[{**PAYMENT, "to": 5}]), "pays '5', which is no address"),
        (full(transactions=[{"hash": TXID, "value": "0x1"}]), "does not say whom it pays"),
        (full(transactions=[{**PAYMENT, "value": "9" * 80}]), f"the value of {TXID} cannot be '9999"),
        (full(transactions=[{**PAYMENT, "value": hex(2**128)}]), f"the value of {TXID} cannot be"),
        (full(transactions=[{**PAYMENT, "value": 5}]), f"the value of {TXID} cannot be '5'"),
    ],
)
def test_a_block_that_cannot_be_true_is_named(told: Any, named: str) -> None:
    with pytest.raises(BadAnswer, match=named):
        answers.transfers(told, BLOCK)


def test_a_receipt_says_whether_it_moved_anything() -> None:
    assert answers.succeeded(RECEIPT, txid=TXID, block=BLOCK)
    assert not answers.succeeded({**RECEIPT, "status": "0x0"}, txid=TXID, block=BLOCK)


@pytest.mark.parametrize(
    ("receipt", "named"),
    [
        (None, f"the node has no receipt of {TXID}, which is in block 5"),
        ({**RECEIPT, "blockHash": OTHER}, f"the receipt of {TXID} is of '{OTHER}', not of {HASH}"),
        ({**RECEIPT, "blockHash": None}, "is of 'None', not of"),
        ({**RECEIPT, "transactionHash": OTHER}, f"asked for the receipt of {TXID}, got that of '{OTHER}'"),
        ({**RECEIPT, "status": "0x2"}, f"the status of {TXID} cannot be '0x2'"),
        ({**RECEIPT, "status": 1}, "cannot be '1'"),
        ({"transactionHash": TXID, "blockHash": HASH}, "the status of"),
        ([], "is no object"),
    ],
)
def test_a_receipt_that_proves_nothing_is_named(receipt: Any, named: str) -> None:
    with pytest.raises(BadAnswer, match=named):
        answers.succeeded(receipt, txid=TXID, block=BLOCK)


def test_a_transaction_is_known_or_not() -> None:
    assert not answers.is_known(None, TXID)
    assert answers.is_known({"hash": TXID}, TXID)
    for told in ({"hash": OTHER}, {}, [], TXID):
        with pytest.raises(BadAnswer):
            answers.is_known(told, TXID)


def test_ratios_and_tips() -> None:
    assert [answers.ratio(one) for one in (0, 1, Decimal("0.25"))] == [0.0, 1.0, 0.25]
    for bad in (-1, 2, Decimal("1.01"), True, "0.5", None, Decimal("1e999999")):
        with pytest.raises(BadAnswer, match="full"):
            answers.ratio(bad)
    assert answers.tips([["0x1"], ["0x0"]], [0.5, 0.0]) == [1, 0]
    assert answers.tips(None, [0.0, 0.0]) == [0, 0]  # nobody was in these blocks
    for told in (None, "x", [["0x1", "0x2"]], [[]], ["0x1"], [[None]]):
        with pytest.raises(BadAnswer):
            answers.tips(told, [0.5])


# JSON knows no NaN, and `rpc` takes none.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False)
    | st.text()
    | st.text(string.hexdigits).map("0x".__add__),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*full(), *PAYMENT]), inner),
    max_leaves=8,
)


@given(ANYTHING)
def test_whatever_is_answered_is_understood_or_named(told: Any) -> None:
    for read in (
        lambda: answers.header(told, "it"),
        lambda: answers.transfers(full(transactions=told), BLOCK),
        lambda: answers.succeeded(told, txid=TXID, block=BLOCK),
        lambda: answers.tips(told, [0.5]),
        lambda: answers.ratio(told),
    ):
        try:
            read()
        except BadAnswer as wrong:
            assert str(wrong).isprintable()  # noqa: PT017 (whether it raises is the example's choice)
            assert len(str(wrong)) < 400  # noqa: PT017

"""What a Bitcoin node may say, and what cannot be true. No node is needed for it: the same lies of a real one are in
`test_bitcoin.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ico.chains import bitcoin_answers as answers
from ico.chains.base import BadAnswer, Block, Transfer
from tests.ico.chains import genesis

HASH, PARENT, TXID = "11" * 32, "22" * 32, "33" * 32
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def header(**changed: Any) -> dict[str, Any]:
    told = {"hash": HASH, "height": 7, "previousblockhash": PARENT, "time": 1_790_000_000, "nTx": 1}
    return {name: value for name, value in {**told, **changed}.items() if value is not ...}


def output(**changed: Any) -> dict[str, Any]:
    return {"value": Decimal("0.00050000"), "n": 0, "scriptPubKey": {"address": ADDRESS}, **changed}


def block(*outputs: Any, **changed: Any) -> dict[str, Any]:
    return {"hash": HASH, "tx": [{"txid": TXID, "vout": list(outputs)}], **changed}


def refused(read: Callable[[], Any]) -> str:
    with pytest.raises(BadAnswer) as error:
        read()
    text = str(error.value)
    assert len(text) <= 200
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.00000001", 1),
        ("0.00000000", 0),
        ("0", 0),
        ("-0.0", 0),
        ("1", 100_000_000),
        ("0.1", 10_000_000),
        ("1e-8", 1),
        ("20999999.97690000", 2_099_999_997_690_000),  # all that there will ever be
        ("21000000", 2_100_000_000_000_000),
        ("0.29", 29_000_000),  # as a float times 10**8 it would be 28999999.999999996
    ],
)
def test_an_amount_is_whole_satoshi_to_the_last_one(written: str, amount: int) -> None:
    told = json.loads(written, parse_float=Decimal)
    assert answers.satoshi(told, "it") == amount


@pytest.mark.parametrize(
    "written",
    [
        "0.000000001",  # nine places
        "0.000000000",  # and be they zeros: Bitcoin never writes so
        "-0.00000001",
        "-1",
        "21000000.00000001",
        "1" + "0" * 80,
        "1e80",
        "1e-80",
        "0." + "1" * 80,
        "NaN",
        "Infinity",
        '"0.5"',
        "true",
        "null",
        "[1]",
    ],
)
def test_an_amount_that_cannot_be_is_refused(written: str) -> None:
    told = json.loads(written, parse_float=Decimal)
    assert "output 3" in refused(lambda: answers.satoshi(told, "output 3"))


def test_a_float_is_refused_so_that_nobody_reads_json_without_decimal() -> None:
    refused(lambda: answers.satoshi(json.loads("0.5"), "it"))


def test_a_header_is_a_block() -> None:
    assert answers.header(header(), of=HASH) == Block(7, HASH, PARENT, 1_790_000_000, 0, 0, 0)


def test_only_the_first_block_has_no_parent() -> None:
    first = answers.header(header(height=0, previousblockhash=...), of=HASH)
    assert first.parent == answers.NO_PARENT
    assert "parent" in refused(lambda: answers.header(header(previousblockhash=...), of=HASH))


def test_the_main_networks_first_block_pays_no_address() -> None:
    """So no deposit is in it, and nobody asks a node for its transaction, which no node answers."""
    first = genesis.bitcoin_hash()
    assert answers.header(genesis.BITCOIN, of=first) == Block(0, first, answers.NO_PARENT, 1_231_006_505, 0, 0, 0)
    assert answers.transactions_in(genesis.BITCOIN, of=first) == 1
    assert answers.transfers(genesis.BITCOIN, of=first) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"hash": ...}, "None"),
        ({"hash": PARENT}, PARENT),
        ({"hash": None}, "None"),
        ({"height": ...}, "height"),
        ({"height": "7"}, "height"),
        ({"height": -1}, "height"),
        ({"height": True}, "height"),
        ({"height": 7.0}, "height"),
        ({"height": int("9" * 80)}, "height"),
        ({"height": "9" * 80}, "height"),
        ({"previousblockhash": "22" * 31}, "parent"),
        ({"previousblockhash": "ZZ" * 32}, "parent"),
        ({"previousblockhash": PARENT.upper().replace("2", "A")}, "parent"),
        ({"previousblockhash": 5}, "parent"),
        ({"time": ...}, "time"),
        ({"time": 2**32}, "time"),
        ({"time": -1}, "time"),
        ({"time": "1790000000"}, "time"),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_what_is_wrong(changed: dict[str, Any], named: str) -> None:
    assert named in refused(lambda: answers.header(header(**changed), of=HASH))


def test_every_output_with_an_address_is_a_transfer() -> None:
    other = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
    told = block(
        output(),
        output(n=1, scriptPubKey={"type": "nulldata"}, value=Decimal("0E-8")),
        output(n=2, scriptPubKey={"address": other}, value=3),
    )
    assert answers.transfers(told, of=HASH) == [
        Transfer(TXID, 0, ADDRESS, 50_000),
        Transfer(TXID, 2, other, 300_000_000),
    ]


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (None, "object"),
        ([], "object"),
        ("x" * 10_000, "object"),
        (block(output(), hash=PARENT), PARENT),
        (block(output(), tx=None), "transactions"),
        (block(output(), tx={}), "transactions"),
        (block(output(), tx=[]), "no transaction"),
        (block(output(), tx=[TXID]), "a transaction"),
        (block(output(), tx=[{"vout": []}]), "txid"),
        (block(output(), tx=[{"txid": "0x" + TXID, "vout": []}]), "txid"),
        (block(output(), tx=[{"txid": TXID}]), "outputs"),
        (block("an output"), "output 0"),
        (block(output(n=1)), "output 0"),
        (block(output(), output()), "output 1"),
        (block(output(n=True), output()), "output 0"),
        (block(output(scriptPubKey=None)), "output 0"),
        (block(output(scriptPubKey={"address": 5})), "no address"),
        (block(output(scriptPubKey={"address": "<script>alert(1)</script>"})), "no address"),
        (block(output(scriptPubKey={"address": "a" * 101})), "no address"),
        (block(output(scriptPubKey={"address": ADDRESS + "\x1b[31m"})), "no address"),
        (block(output(value=Decimal("0.000000001"))), "output 0"),
        (block(output(value="0.5")), "output 0"),
        ({"hash": HASH, "tx": [{"txid": TXID, "vout": [{"n": 0, "scriptPubKey": {"address": ADDRESS}}]}]}, "output 0"),
    ],
)
def test_a_block_that_cannot_be_is_refused_by_what_is_wrong(told: Any, named: str) -> None:
    assert named in refused(lambda: answers.transfers(told, of=HASH))


def test_a_waiting_transaction_is_the_one_that_was_asked_for() -> None:
    told = block(output())["tx"][0]
    assert answers.waiting(told, of=TXID) == [Transfer(TXID, 0, ADDRESS, 50_000)]
    assert TXID in refused(lambda: answers.waiting(told, of=HASH))
    assert "object" in refused(lambda: answers.waiting([told], of=TXID))


def test_a_lie_is_named_by_its_beginning_in_one_line() -> None:
    told = output(scriptPubKey={"address": "line\nline\u2028\u202e" + "x" * 10_000})
    refused(lambda: answers.transfers(block(told), of=HASH))


def scan(**changed: Any) -> dict[str, Any]:
    found = [
        {"desc": f"addr({ADDRESS})#jt5h2k3q", "amount": Decimal("0.1")},
        {"desc": f"addr({ADDRESS})#jt5h2k3q", "amount": Decimal("0.20000001")},
    ]
    return {"success": True, "bestblock": HASH, "height": 7, "unspents": found, **changed}


def test_a_scan_adds_up_what_each_address_holds() -> None:
    assert answers.unspent(scan()) == {ADDRESS: 30_000_001}
    assert answers.unspent(scan(unspents=[])) == {}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"success": False}, "end"),
        ({"success": 1}, "end"),
        ({"unspents": None}, "unspent"),
        ({"unspents": [None]}, "unspent"),
        ({"unspents": [{"desc": "wpkh(02ab)#jt5h2k3q", "amount": 1}]}, "not asked"),
        ({"unspents": [{"amount": 1}]}, "not asked"),
        ({"unspents": [{"desc": f"addr({ADDRESS})#jt5h2k3q", "amount": -1}]}, ADDRESS),
    ],
)
def test_a_scan_that_cannot_be_is_refused(changed: dict[str, Any], named: str) -> None:
    assert named in refused(lambda: answers.unspent(scan(**changed)))

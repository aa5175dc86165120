"""Purses of play money: what they refuse, held against nodes that say what they say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest

from ico.chains import purse
from ico.chains.base import BadAnswer, ChainUnavailable
from ico.chains.purse import EmptyPurse, RealMoney

OURS = "0x" + "a" * 40
Answer = Callable[[list[Any]], Any] | object


class Node:
    """A node of which each method answers as it is told to; `asked` are the calls it got, with the path."""

    address: SplitResult

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, list[Any]]] = []

    def answer(self, path: str, call: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, call["method"], call["params"]))
        told = self.answers[call["method"]]
        told = told(call["params"]) if callable(told) else told
        key = "error" if isinstance(told, dict) and "code" in told else "result"
        return {"jsonrpc": "2.0", "id": call["id"], key: told}

    def sent(self) -> list[list[Any]]:
        return [params for _, method, params in self.asked if method in ("eth_sendTransaction", "sendtoaddress")]


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps([node.answer(self.path, call) for call in calls]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    node.address = urlsplit(f"http://127.0.0.1:{server.server_port}")
    yield node
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def anvil(node: Node) -> Node:
    node.answers = {
        "eth_chainId": hex(31337),
        "eth_accounts": ["0x" + "1" * 40, "0x" + "2" * 40],
        "eth_getTransactionCount": "0x5",
        "eth_gasPrice": hex(10**9),
        "eth_sendTransaction": "0x" + "f" * 64,
    }
    return node


@pytest.fixture
def regtest(node: Node) -> Node:
    node.answers = {
        "getblockchaininfo": {"chain": "regtest"},
        "listwallets": ["other", "purse"],
        "sendtoaddress": "f" * 64,
        "listtransactions": [],
    }
    return node


@pytest.mark.parametrize("network", [1, 11155111, 17000, 0])
def test_ether_that_may_be_worth_something_is_never_sent(anvil: Node, network: int) -> None:
    anvil.answers["eth_chainId"] = hex(network)
    for step in (lambda one: one.send(OURS, 1), lambda one: one.paid([OURS])):
        with pytest.raises(RealMoney, match=f"chain {network}: only on a development chain"):
            step(purse.on_node("ETH", anvil.address))
    assert anvil.sent() == []


@pytest.mark.parametrize("network", ["main", "test", "testnet4", "signet", None, ["regtest"]])
def test_bitcoin_that_may_be_worth_something_is_never_sent(regtest: Node, network: object) -> None:
    regtest.answers["getblockchaininfo"] = {"chain": network}
    for step in (lambda one: one.send("bcrt1q", 1), lambda one: one.paid(["bcrt1q"])):
        with pytest.raises(RealMoney, match="only on regtest"):
            step(purse.on_node("BTC", regtest.address))
    assert regtest.sent() == []


def test_a_node_that_cannot_say_its_network_is_not_paid_from(regtest: Node) -> None:
    regtest.answers["getblockchaininfo"] = {"code": -28, "message": "Loading block index"}
    with pytest.raises(purse.RpcError, match="Loading"):
        purse.on_node("BTC", regtest.address).send("bcrt1q", 1)
    assert regtest.sent() == []


def test_ether_comes_from_each_account_in_turn_with_a_nonce_named(anvil: Node) -> None:
    one = purse.on_node("ETH", anvil.address)
    for _ in range(3):
        assert one.send(OURS, 7) == "0x" + "f" * 64
    payments = [payment for (payment,) in anvil.sent()]
    assert [payment["from"][2] for payment in payments] == ["1", "2", "1"]
    assert {(payment["to"], payment["value"], payment["nonce"]) for payment in payments} == {(OURS, "0x7", "0x5")}


def test_satoshi_are_written_exactly_and_from_the_wallet_of_that_name(regtest: Node) -> None:
    one = purse.on_node("BTC", regtest.address)
    for amount in (294, 10**8, 123_456_789_012):
        one.send("bcrt1q", amount)
    assert [params[1] for params in regtest.sent()] == ["0.00000294", "1.00000000", "1234.56789012"]
    assert {path for path, method, _ in regtest.asked if method == "sendtoaddress"} == {"/wallet/purse"}


@pytest.mark.parametrize("wallets", [[], ["a", "b"]])
def test_no_wallet_or_nobody_knows_which(regtest: Node, wallets: list[str]) -> None:
    regtest.answers["listwallets"] = wallets
    with pytest.raises(EmptyPurse, match=f"has {len(wallets)} wallets"):
        purse.on_node("BTC", regtest.address).send("bcrt1q", 1)


def test_the_only_wallet_will_do(regtest: Node) -> None:
    regtest.answers["listwallets"] = ["my wallet/1"]
    purse.on_node("BTC", regtest.address).send("bcrt1q", 1)
    assert regtest.asked[-1][0] == "/wallet/my%20wallet%2F1"


def test_an_empty_purse_is_told_as_such(anvil: Node) -> None:
    anvil.answers["eth_sendTransaction"] = {"code": -32003, "message": "Insufficient funds for gas * price + value"}
    with pytest.raises(EmptyPurse, match="not enough ether"):
        purse.on_node("ETH", anvil.address).send(OURS, 1)
    anvil.answers["eth_accounts"] = []
    with pytest.raises(EmptyPurse, match="no unlocked account"):
        purse.on_node("ETH", anvil.address).send(OURS, 1)


def test_an_empty_wallet_is_told_as_such(regtest: Node) -> None:
    regtest.answers["sendtoaddress"] = {"code": -6, "message": "Insufficient funds"}
    with pytest.raises(EmptyPurse, match="until a block is mined"):
        purse.on_node("BTC", regtest.address).send("bcrt1q", 1)


def test_who_was_paid_is_who_the_wallet_paid_and_was_not_replaced(regtest: Node) -> None:
    listed = [
        {"category": "send", "address": "paid", "confirmations": 0},
        {"category": "send", "address": "replaced", "confirmations": -2},
        {"category": "receive", "address": "own", "confirmations": 9},
        {"category": "send", "address": "stranger", "confirmations": 9},
    ]
    rows = [*listed, *[{"category": "generate"}] * 1_000, {"category": "send", "address": "early", "confirmations": 3}]
    regtest.answers["listtransactions"] = lambda params: rows[params[2] : params[2] + params[1]]
    one = purse.on_node("BTC", regtest.address)
    assert one.paid({"paid", "replaced", "own", "early", "nobody"}) == {"paid", "early"}


@pytest.mark.parametrize("told", [{}, [1], "many"])
def test_a_list_that_is_none_is_named(regtest: Node, told: object) -> None:
    regtest.answers["listtransactions"] = told
    with pytest.raises(BadAnswer, match="no list"):
        purse.on_node("BTC", regtest.address).paid({"x"})


@pytest.mark.parametrize("told", [None, 5, "five"])
def test_a_nonce_that_is_none_is_named(anvil: Node, told: object) -> None:
    anvil.answers["eth_getTransactionCount"] = told
    with pytest.raises(BadAnswer, match="not a number"):
        purse.on_node("ETH", anvil.address).send(OURS, 1)
    assert anvil.sent() == []


@pytest.mark.parametrize("chain", ["BTC", "ETH"])
def test_asking_for_a_purse_asks_no_node(chain: str) -> None:
    one = purse.on_node(chain, urlsplit("http://127.0.0.1:1"))
    assert one.least == (294 if chain == "BTC" else 1)
    with pytest.raises(ChainUnavailable):
        one.paid(["x"])


def test_what_a_node_says_is_shown_and_not_repeated(anvil: Node) -> None:
    anvil.answers["eth_accounts"] = ["\x1b[31m\n" + "x" * 5_000]
    anvil.answers["eth_sendTransaction"] = {"code": -32003, "message": "Insufficient funds for gas"}
    with pytest.raises(EmptyPurse) as raised:
        purse.on_node("ETH", anvil.address).send(OURS, 7)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("depth", ["9", None, 1.5, []])
def test_a_depth_that_is_no_number_is_named(regtest: Node, depth: object) -> None:
    regtest.answers["listtransactions"] = [{"category": "send", "address": "paid", "confirmations": depth}]
    with pytest.raises(BadAnswer, match="the depth of a payment cannot be"):
        purse.on_node("BTC", regtest.address).paid(["paid"])

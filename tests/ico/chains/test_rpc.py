"""JSON-RPC with a real node, whose answers are spoiled on their way: each failure is one of the seam's errors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ico.chains import rpc as rpc_module
from ico.chains.base import BadAnswer, ChainBusy, ChainUnavailable
from ico.chains.connection import TooLong
from ico.chains.rpc import CALLS_AT_ONCE, Rpc, RpcError, _parsed
from tests.nodes import anvil, lying
from tests.nodes.anvil import Anvil
from tests.nodes.lying import Liar, Reply

pytestmark = pytest.mark.process

TWO = [("eth_chainId", []), ("eth_blockNumber", [])]
TRUTH = ["0x7a69", "0x3"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil.running(tmp_path_factory.mktemp("anvil")) as running:
        running.mine(3)
        yield running


@pytest.fixture
def liar(node: Anvil) -> Iterator[Liar]:
    with lying.before(node.url) as between:
        yield between


def rpc_to(liar: Liar, *, seconds: float = 20.0, most_bytes: int = 10**6) -> Rpc:
    return Rpc(urlsplit(liar.url), seconds=seconds, most_bytes=most_bytes)


@pytest.fixture
def rpc(liar: Liar) -> Rpc:
    return rpc_to(liar)


def test_results_come_in_the_order_of_the_calls(rpc: Rpc, liar: Liar) -> None:
    assert rpc.batch(TWO) == TRUTH
    liar.lie = lying.shuffled
    assert rpc.batch(TWO) == TRUTH
    assert rpc.call("eth_blockNumber") == "0x3"
    assert rpc.batch([]) == []


def test_many_calls_go_in_bounded_batches(rpc: Rpc, liar: Liar, node: Anvil) -> None:
    wanted = [("eth_getBlockByNumber", [hex(height % 4), False]) for height in range(2 * CALLS_AT_ONCE + 1)]
    told = rpc.batch(wanted)
    assert [int(block["number"], 16) for block in told] == [height % 4 for height in range(2 * CALLS_AT_ONCE + 1)]
    assert liar.requests == 3


def test_what_one_call_is_refused_does_not_spoil_the_others(rpc: Rpc) -> None:
    refused, height = rpc.batch([("eth_noSuchThing", []), ("eth_blockNumber", [])])
    assert isinstance(refused, RpcError)
    assert (refused.code, height) == (-32601, "0x3")
    with pytest.raises(RpcError, match="error -32601: 'Method not found'"):
        rpc.call("eth_noSuchThing")


BAD = [
    (lying.half_a_batch, "2 calls have 1 answers"),
    (lying.ids_doubled, "two answers have the same id"),
    (lying.one_too_many, "two answers have the same id"),
    (lying.ids_of_another_batch, "an answer to nothing that was asked, its id is '100000"),
    (lying.ids_as_text, "an answer to nothing that was asked"),
    (lying.neither_result_nor_error, "neither a result nor an error"),
    (lying.result_and_error, "a result and an error"),
    (lying.not_json, r"not JSON .*<html>Bad gateway \\x1b\[31m"),
    (lying.endless, "more than 1000000 bytes"),
    (lying.error("-1", "no"), "an error that is none"),
    (lying.error(-1, ["no"]), "an error that is none"),
    (lambda calls, answers: {}, "no list: '{}'"),
    (lambda calls, answers: None, "no list: 'None'"),
    (lambda calls, answers: ["x"], "its id is 'None'"),
    (lying.always(Reply(b"")), "not JSON"),
    (lying.always(Reply(b"\xff\xfe[")), "not JSON"),
    (lying.always(Reply(b'[{"id": NaN}]')), "NaN is not a number"),
    (lying.always(Reply(b"[" * 200_000)), "not JSON"),
    (lying.always(Reply(b"[1" + b"0" * 5_000 + b"]")), "a number of 5001 digits"),
    (lying.always(Reply(b"[1e99999999999999999999]")), "not JSON"),
    (lying.always(Reply(b"x", headers=(("Content-Encoding", "gzip"),))), "compressed"),
]


@pytest.mark.parametrize(("lie", "named"), BAD)
def test_an_answer_that_cannot_be_true_is_named_and_nothing_of_it_is_taken(
    rpc: Rpc, liar: Liar, lie: lying.Lie, named: str
) -> None:
    liar.lie = lie
    with pytest.raises(BadAnswer, match=named) as wrong:
        rpc.batch(TWO)
    assert str(wrong.value).isprintable()
    assert len(str(wrong.value)) < 500
    liar.lie = None
    assert rpc.batch(TWO) == TRUTH


def test_swapped_ids_are_believed_here(rpc: Rpc, liar: Liar) -> None:
    """Only who knows what was asked can see that: `test_ethereum.py` has it."""
    liar.lie = lying.ids_swapped
    assert rpc.batch(TWO) == TRUTH[::-1]


@pytest.mark.parametrize(
    ("lie", "kind", "named"),
    [
        (lying.asked_too_much, ChainBusy, "asks to be asked less often"),
        (lying.error(-32005, "slow down"), ChainBusy, "less often: 'slow down'"),
        (lying.error(-32000, "Rate limit reached"), ChainBusy, "less often"),
        (lying.refused_as_a_whole(429, "too many"), ChainBusy, "less often"),
        (lying.refused_as_a_whole(-32600, "batch too large"), RpcError, "-32600: 'batch too large'"),
        (lying.wrong_password, ChainUnavailable, r"refused the credentials \(HTTP 401\)"),
        (lying.always(Reply(status=403)), ChainUnavailable, r"refused the credentials \(HTTP 403\)"),
        (lying.broken, ChainUnavailable, "HTTP 500"),
        (lying.always(Reply(status=302, headers=(("Location", "http://127.0.0.1:1/"),))), ChainUnavailable, "HTTP 302"),
    ],
)
def test_a_node_that_refuses_is_no_liar(
    rpc: Rpc, liar: Liar, lie: lying.Lie, kind: type[Exception], named: str
) -> None:
    liar.lie = lie
    with pytest.raises(kind, match=named):
        rpc.call("eth_chainId")
    liar.lie = None
    assert rpc.call("eth_chainId") == TRUTH[0]


@pytest.mark.parametrize("lie", [lying.hangs, lying.endless, lying.head_drips, lying.hints_drip])
def test_no_answer_is_waited_for_longer_than_it_may_take(liar: Liar, lie: lying.Lie) -> None:
    impatient = rpc_to(liar, seconds=0.5, most_bytes=10**15)
    liar.lie = lie
    began = time.monotonic()
    with pytest.raises(ChainUnavailable, match=r"did not answer within 0\.5 s"):
        impatient.call("eth_chainId", most_bytes=10**15)
    assert time.monotonic() - began < 5
    liar.lie = None
    assert impatient.call("eth_chainId", seconds=20) == TRUTH[0]


def test_a_node_that_is_gone_is_unavailable_and_found_again(tmp_path: Path) -> None:
    with anvil.running(tmp_path) as mortal:
        rpc = Rpc(urlsplit(mortal.url))
        assert rpc.call("eth_chainId") == TRUTH[0]
        mortal.stop()
        with pytest.raises(ChainUnavailable, match="cannot be asked"):
            rpc.call("eth_chainId")
        with pytest.raises(ChainUnavailable, match="Connection refused"):
            rpc.call("eth_chainId")
        mortal.start()
        assert rpc.call("eth_chainId") == TRUTH[0]


def test_a_node_that_freezes_is_given_up_and_found_again(tmp_path: Path) -> None:
    with anvil.running(tmp_path) as mortal:
        rpc = Rpc(urlsplit(mortal.url), seconds=0.5)
        mortal.freeze()
        with pytest.raises(ChainUnavailable, match=r"did not answer within 0\.5 s"):
            rpc.call("eth_chainId")
        mortal.thaw()
        assert rpc.call("eth_chainId", seconds=20) == TRUTH[0]


def test_nothing_that_a_node_wants_to_be_remembered_is_sent_back(rpc: Rpc, liar: Liar) -> None:
    heard: list[int] = []
    handler: Any = liar.RequestHandlerClass

    class Baker(handler):  # type: ignore[misc]
        def do_POST(self) -> None:
            heard.append(len(str(self.headers)))
            super().do_POST()

        def end_headers(self) -> None:
            self.send_header("Set-Cookie", f"c{len(heard)}={'x' * 3_000}")
            super().end_headers()

    liar.RequestHandlerClass = Baker
    assert [rpc.call("eth_chainId") for _ in range(25)] == TRUTH[:1] * 25
    assert max(heard) < 300


def test_an_answer_may_be_as_long_as_is_expected(rpc: Rpc, liar: Liar) -> None:
    liar.lie = lambda calls, answers: [{**answers[0], "result": "x" * 5_000}]
    assert rpc.call("eth_chainId") == "x" * 5_000
    with pytest.raises(TooLong, match="more than 4999 bytes"):
        rpc.call("eth_chainId", most_bytes=4_999)


def test_many_small_values_are_refused_before_anything_is_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB of them would take 2 GB of memory."""
    monkeypatch.setattr(rpc_module, "MOST_VALUES", 1_000)
    assert len(_parsed(b"[" + b"{}," * 333 + b"{}]")) == 334
    for many in (b"{}", b"[]", b"0"):
        with pytest.raises(TooLong, match="more than 1000 values"):
            _parsed(b"[" + (many + b",") * 1_000 + b"0]")


def test_numbers_keep_every_digit(rpc: Rpc, liar: Liar) -> None:
    def numbers(calls: list[lying.Object], answers: list[lying.Object]) -> Reply:
        return Reply(b'[{"id": %d, "result": [0.1, 12345678.00000001, 1e-8, %d]}]' % (calls[0]["id"], 2**256))

    liar.lie = numbers
    told = rpc.call("eth_chainId")
    assert told == [Decimal("0.1"), Decimal("12345678.00000001"), Decimal("1e-8"), 2**256]
    assert all(type(one) is Decimal for one in told[:3])


def test_one_connection_serves_one_thread(rpc: Rpc, liar: Liar) -> None:
    for _ in range(3):
        rpc.call("eth_chainId")
    assert liar.connections == 1
    threads = [threading.Thread(target=rpc.call, args=("eth_chainId",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert liar.connections == 5


def asked_in_a_child(rpc: Rpc) -> bool:
    child = os.fork()
    if not child:  # whatever happens, this is not the test run
        try:
            os._exit(0 if rpc.call("eth_blockNumber") == TRUTH[1] else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_a_connection_of_its_own(rpc: Rpc, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rpc.call("eth_chainId") == TRUTH[0]
    assert asked_in_a_child(rpc)
    assert rpc.call("eth_chainId") == TRUTH[0]
    assert liar.connections == 2
    with monkeypatch.context() as blind:  # who does not see that it is another process talks on the parent's
        mine = os.getpid()
        blind.setattr("ico.chains.rpc.os.getpid", lambda: mine)
        asked_in_a_child(rpc)
    assert liar.connections == 2


def test_neither_errors_nor_logs_name_the_password(liar: Liar, caplog: pytest.LogCaptureFixture) -> None:
    port = liar.server_address[1]
    rpc = Rpc(urlsplit(f"http://someone:SECRET%21@127.0.0.1:{port}/v3/KEY"))
    lies = [None, lying.wrong_password, lying.not_json, lying.broken, lying.asked_too_much]
    said = []
    with caplog.at_level(logging.DEBUG):
        for lie in lies:
            liar.lie = lie
            try:
                rpc.call("eth_chainId")
            except Exception as error:  # noqa: BLE001 (whatever it is, it must not name it)
                said.append(repr(error))
        liar.lie = lying.hangs
        with pytest.raises(ChainUnavailable) as hung:
            rpc.call("eth_chainId", seconds=0.1)
    told = " ".join([*said, repr(hung.value), caplog.text, repr(rpc)])
    assert len(said) == 4
    assert "SECRET" not in told
    assert "KEY" not in told
    liar.lie = None
    with caplog.at_level(logging.DEBUG, logger="httpcore"):  # what the settings keep it from
        rpc.call("eth_chainId")
    assert "send_request_headers" in caplog.text
    assert "SECRET" not in caplog.text
    assert "KEY" not in caplog.text


def test_the_whole_address_is_used(liar: Liar) -> None:
    heard: list[tuple[str, str | None]] = []
    handler: Any = liar.RequestHandlerClass

    class Listening(handler):  # type: ignore[misc]
        def do_POST(self) -> None:
            heard.append((self.path, self.headers["Authorization"]))
            super().do_POST()

    liar.RequestHandlerClass = Listening
    address = f"127.0.0.1:{liar.server_address[1]}"
    for url in (f"http://user:pass%40word@{address}/wallet/x?key=1", f"http://{address}"):
        assert Rpc(urlsplit(url)).call("eth_chainId") == TRUTH[0]
    assert heard == [("/wallet/x?key=1", "Basic dXNlcjpwYXNzQHdvcmQ="), ("/", None)]  # base64 of user:pass@word

"""A node that lies: a real HTTP server before a real node, which passes everything on, and spoils what it is told to.

    with lying.before(node.url) as liar:
        client = EthereumNode(Rpc(urlsplit(liar.url)))
        liar.lie = lying.half_a_batch
        ...
        liar.lie = None  # honest again

A lie gets the calls and the node's true answers, and returns what is answered instead: JSON, or a `Reply`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.served import served

Object = dict[str, Any]
Lie = Callable[[list[Object], list[Object]], Any]
Change = Callable[[Any, list[Any]], Any]  # of a result, knowing the call's parameters
PIECE = b" " * 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """`endless`: spaces follow the body for as long as somebody reads them, which JSON allows; `hangs`: nothing comes,
    and nobody hangs up; `drips`: these bytes come instead, one at a time, again and again."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    endless: bool = False
    hangs: bool = False
    drips: bytes = b""


class Liar(ThreadingHTTPServer):
    """`calls`: the methods and parameters that were asked for, in order."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.lie: Lie | None = None
        self.calls: list[tuple[str, list[Any]]] = []
        self.requests = 0
        self.connections = 0
        self.over = threading.Event()

    @property
    def url(self) -> str:
        """With the true node's name and password."""
        login = self.upstream.netloc.rpartition("@")
        return f"http://{login[0]}{login[1]}127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        calls = json.loads(body)
        self.server.requests += 1
        self.server.calls += [(call["method"], call["params"]) for call in calls]
        told = self._truth(body)
        if self.server.lie is not None and not isinstance(told, Reply):
            told = self.server.lie(calls, told)
        with suppress(OSError):  # who asked has heard enough
            self._answer(told if isinstance(told, Reply) else Reply(json.dumps(told).encode()))

    def _truth(self, body: bytes) -> Any:
        node = self.server.upstream
        connection = HTTPConnection(str(node.hostname), node.port, timeout=60)
        headers = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
        try:
            connection.request("POST", node.path or "/", body, headers)
            response = connection.getresponse()
            told = response.read()
            return json.loads(told) if response.status == 200 else Reply(told, response.status)
        except (OSError, HTTPException):
            return Reply(status=502)
        finally:
            connection.close()

    def _answer(self, reply: Reply) -> None:
        if reply.hangs:
            self.server.over.wait()
            self.close_connection = True
            return
        if reply.drips:
            self._drip(itertools.cycle(reply.drips))
            return
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        if reply.endless:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        while reply.endless and not self.server.over.is_set():
            self.wfile.write(PIECE)

    def _drip(self, endlessly: Iterator[int]) -> None:
        self.close_connection = True
        while not self.server.over.wait(0.02):
            self.wfile.write(bytes([next(endlessly)]))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def before(upstream: str) -> Iterator[Liar]:
    liar = Liar(upstream)
    with served(liar):
        try:
            yield liar
        finally:
            liar.over.set()


# --- about the conversation, whichever the chain ----------------------------------------------------------------------


def always(reply: Reply) -> Lie:
    return lambda calls, answers: reply


def half_a_batch(calls: list[Object], answers: list[Object]) -> Any:
    return answers[: len(answers) // 2]


def ids_swapped(calls: list[Object], answers: list[Object]) -> Any:
    """The first answer comes as if it were the second's, and the other way round."""
    if len(answers) > 1:
        answers[0]["id"], answers[1]["id"] = answers[1]["id"], answers[0]["id"]
    return answers


def ids_doubled(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": answers[0]["id"]} for answer in answers]


def one_too_many(calls: list[Object], answers: list[Object]) -> Any:
    return [*answers, answers[-1]]


def ids_of_another_batch(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": answer["id"] + 1_000_000} for answer in answers]


def ids_as_text(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "id": str(answer["id"])} for answer in answers]


def shuffled(calls: list[Object], answers: list[Object]) -> Any:
    """No lie: the standard allows it."""
    return answers[::-1]


def neither_result_nor_error(calls: list[Object], answers: list[Object]) -> Any:
    return [{"jsonrpc": "2.0", "id": answer["id"]} for answer in answers]


def result_and_error(calls: list[Object], answers: list[Object]) -> Any:
    return [{**answer, "error": {"code": -1, "message": "no"}} for answer in answers]


def error(code: Any, message: Any) -> Lie:
    """In the place of every result."""
    return lambda calls, answers: [{"id": one["id"], "error": {"code": code, "message": message}} for one in answers]


def refused_as_a_whole(code: int, message: str) -> Lie:
    return lambda calls, answers: {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


not_json = always(Reply(b"<html>Bad gateway \x1b[31m</html>"))
endless = always(Reply(b"[", endless=True))
hangs = always(Reply(hangs=True))
head_drips = always(Reply(drips=b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000))
hints_drip = always(Reply(drips=b"HTTP/1.1 103 Early Hints\r\n\r\n"))
asked_too_much = always(Reply(status=429))
wrong_password = always(Reply(status=401))
broken = always(Reply(b"internal error", status=500))


def changed(*methods: str, by: Change) -> Lie:
    """The results of these methods are others, unless they are null."""

    def lie(calls: list[Object], answers: list[Object]) -> Any:
        asked = {call["id"]: call for call in calls}
        for answer in answers:
            call = asked[answer["id"]]
            if call["method"] in methods and answer.get("result") is not None:
                answer["result"] = by(answer["result"], call["params"])
        return answers

    return lie


def with_field(name: str, value: Any, *methods: str) -> Lie:
    return changed(*methods, by=lambda result, parameters: {**result, name: value})


def without_field(name: str, *methods: str) -> Lie:
    return changed(*methods, by=lambda result, parameters: {key: result[key] for key in result if key != name})


# --- about Ethereum ---------------------------------------------------------------------------------------------------

BLOCKS = ("eth_getBlockByNumber", "eth_getBlockByHash")
NOWHERE = "0x" + "de" * 32

missing_parent = with_field("parentHash", NOWHERE, *BLOCKS)
no_parent_named = without_field("parentHash", *BLOCKS)
block_without_hash = with_field("hash", None, *BLOCKS)
height_of_80_digits = with_field("number", "9" * 80, *BLOCKS)
height_as_a_number = with_field("number", int("9" * 80), *BLOCKS)
another_height = with_field("number", "0x3039", *BLOCKS)
transactions_not_a_list = with_field("transactions", {"0": "x"}, *BLOCKS)
other_chain_id = changed("eth_chainId", by=lambda result, parameters: "0x1")
syncing = changed("eth_syncing", by=lambda result, parameters: {"currentBlock": "0x1", "highestBlock": "0xffff"})
no_receipts = changed("eth_getTransactionReceipt", by=lambda result, parameters: None)
receipts_of_another_block = with_field("blockHash", NOWHERE, "eth_getTransactionReceipt")


def _another_genesis(block: Object, parameters: list[Any]) -> Object:
    return {**block, "hash": NOWHERE} if block["number"] == "0x0" else block


other_genesis = changed(*BLOCKS, by=_another_genesis)

"""A node that lies: a real HTTP server before a real node, which passes everything on, and spoils what it is told to.
The lies themselves are in `lying`.

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

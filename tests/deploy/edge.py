"""The real nginx with the real files, in front of whatever a test puts behind it; and an origin that does what an
application must not do, so that a test can see who notices."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from config.serving import free_port
from deploy import nginx
from tests.deadline import until
from tests.served import served


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    def all(self, name: str) -> list[str]:
        """Each value of a header, for a header that stands there twice is a fault."""
        return self.headers.get_all(name, [])


@dataclass(frozen=True)
class Edge:
    port: int
    internal: int
    folder: Path
    process: subprocess.Popen[bytes]

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, *, port: int = 0, **headers: str
    ) -> Answer:
        """One request on a connection of its own; `_` in the name of a header stands for a dash."""
        return ask(port or self.port, path, method, body, **headers)

    def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the access log about this request; it is written within a second or so."""
        lines = until(
            lambda: [line for line in self.access_log().splitlines() if request_id in line], "a line in the access log"
        )
        assert len(lines) == 1
        return json.loads(lines[0])  # type: ignore[no-any-return]

    def access_log(self) -> str:
        return (self.folder / "logs" / "access.log").read_text()

    def error_log(self) -> str:
        return (self.folder / "logs" / "error.log").read_text()


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@contextmanager
def edge(
    folder: Path, *, upstream: int, static: Path | None = None, without: dict[str, str] | None = None, **options: Any
) -> Iterator[Edge]:
    """nginx in front of a port. `without`: rules to take away (text of the configuration, what stands there instead),
    to see what they are for."""
    port, internal = free_port(), free_port()
    conf = nginx.write(
        folder,
        listen=f"127.0.0.1:{port}",
        internal=f"127.0.0.1:{internal}",
        upstream=f"127.0.0.1:{upstream}",
        static_root=static or folder,
        **options,
    )
    for rule, instead in (without or {}).items():
        take_away(folder, rule, instead)
    process = subprocess.Popen(nginx.command(conf))
    try:
        until(lambda: listens(port) or process.poll() is not None, "nginx answers")
        assert process.poll() is None
        yield Edge(port, internal, folder, process)
    finally:
        process.terminate()
        process.wait(20)


def take_away(folder: Path, rule: str, instead: str) -> None:
    changed = 0
    for path in folder.glob("*.conf"):
        text = path.read_text()
        changed += rule in text
        path.write_text(text.replace(rule, instead))
    assert changed, f"there is no such rule: {rule}"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Origin:
    """Counts what it is asked and answers as `answer` says: headers by name, or None to hang up without a word."""

    port: int = 0
    asked: list[BaseHTTPRequestHandler] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Cache-Control": "public, max-age=60"})
    hang_up: bool = False
    before: Callable[[], object] = bool

    @property
    def paths(self) -> list[str]:
        return [f"{request.command} {request.path}" for request in self.asked]


@contextmanager
def origin() -> Iterator[Origin]:
    told = Origin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece: in two, the second waits 40 ms for the first one's receipt

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.asked.append(self)
            told.before()
            if told.hang_up:
                self.close_connection = True
                return
            body = f"answer {len(told.asked)}".encode()
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *words: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *request: object) -> None:
            """A proxy that hangs up is what some of the tests are about; no traceback between the results."""

    server = Server(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    with served(server):
        yield told

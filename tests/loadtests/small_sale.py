"""A real HTTP server on loopback that answers as the sale does, with known latencies and planted faults."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from django.conf import settings

from loadtests.guard import challenge
from tests.served import served


@dataclass
class Answer:
    status: int
    body: object = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False


def right(method: str, path: str, form: dict[str, str], sale: "SmallSale") -> Answer:
    """What a sale without faults answers."""
    private = {"Cache-Control": "private, no-store"}
    match method, path.strip("/").split("/"):
        case "GET", [""]:
            return Answer(200, '<form method="post" action="/signup/"></form>')
        case "POST", ["signup"]:
            ticket = f"t{sale.place_of(form['email'])}"
            return Answer(202, {"ticket": ticket, "number": None, "position_url": f"/api/position/{ticket}"})
        case "GET", ["api", "position", ticket]:
            return Answer(200, position(number=int(ticket[1:]), ahead=int(ticket[1:]) - 1))
        case "GET", ["i", token]:
            return Answer(200, f'<form method="post" action="/i/{token}/terms/"></form>', private)
        case "POST", ["i", token, "terms"]:
            return Answer(303, "", {"Location": f"/i/{token}/wallet/"})
        case "GET", ["i", token, "wallet"]:
            return Answer(200, '<input name="btc_address"><input name="eth_address">', private)
        case "POST", ["i", token, "wallet"]:
            sale.wallets.append((form["btc_address"], form["eth_address"]))
            return Answer(303, "", {"Location": f"/i/{token}/payment/"})
        case "GET", ["i", token, "payment"]:
            return Answer(200, f"BTC-{token} ETH-{token}", private)
        case "GET", ["api", "payment", token]:
            return Answer(200, payment(token))
    return Answer(404, "nothing here")


def position(*, number: int | None, ahead: int | None, state: str = "waiting") -> dict[str, object]:
    return {
        "state": state,
        "number": number,
        "position": None if ahead is None else ahead + 1,
        "ahead": ahead,
        "waiting": 100,
        "estimated_wait_seconds": None,
        "poll_after_seconds": 30,
        "as_of": "2026-11-21T10:00:00+00:00",
    }


def payment(token: str) -> dict[str, object]:
    rows = [
        {
            "chain": chain,
            "address": f"{chain}-{token}",
            "seen": "0",
            "confirmed": "0",
            "confirmations": 0,
            "required": 6,
        }
        for chain in ("BTC", "ETH")
    ]
    return {"state": "awaiting", "allowance": {}, "deposits": rows, "poll_after_seconds": 30, "as_of": "…"}


Script = Callable[[str, str, dict[str, str], "SmallSale"], Answer]


class SmallSale(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: Script, environment: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.environment = environment
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self.emails: list[str] = []
        self.wallets: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def place_of(self, email: str) -> int:
        with self.lock:
            if email not in self.emails:
                self.emails.append(email)
            return self.emails.index(email) + 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor who leaves in the middle is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SmallSale

    known = False

    def do_GET(self) -> None:
        if self.path.startswith(challenge.PATH) and self.server.environment:
            self._prove()
            return
        with self.server.lock:  # whoever only asks whether this is a target is no visitor
            self.server.connections += not self.known
        self.known = True
        length = int(self.headers.get("Content-Length", 0))
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        with self.server.lock:
            self.server.requests[f"{self.command} {self.path}"] += 1
        answer = self.server.script(self.command, self.path, form, self.server)
        time.sleep(answer.delay)  # the programmed latency of this server, which is what the tests measure
        if answer.hang_up:
            self.close_connection = True
            return
        is_text = isinstance(answer.body, str)
        body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if is_text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def _prove(self) -> None:
        nonce = parse_qs(urlsplit(self.path).query)["challenge"][0]
        named = self.server.environment
        key = challenge.derived_key(settings.LOAD_KEY)
        signed = challenge.signature(key=key, environment=named, nonce=nonce, host=self.headers["Host"])
        body = json.dumps({"environment": named, "challenge": nonce, "signature": signed}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(script: Script = right, *, environment: str = challenge.DEMO) -> Iterator[SmallSale]:
    """`environment`: as what it answers the challenge; "" is no load target."""
    server = SmallSale(script, environment)
    with served(server):
        yield server

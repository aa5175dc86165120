"""A real SQS server to test against, and a proxy before it that counts its calls and can refuse single entries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from config.serving import free_port
from tests.absent import absent
from tests.deadline import until
from tests.served import served

LAUNCHER = Path(__file__).resolve().parents[2] / "deploy" / "local" / "sqs" / "launcher.mjs"
REGION = "eu-central-1"
NO_ACCOUNT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}


def missing() -> str:
    """What is missing to run the server here; "" when it can be run."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (LAUNCHER.parent / "node_modules" / "fauxqs").exists():
        return f"run `npm ci` in {LAUNCHER.parent}"
    return ""


@dataclass
class Server:
    """The emulator as a process of its own, which may be killed and started again; its queues are then gone."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        node = shutil.which("node")
        assert node is not None
        self.process = subprocess.Popen([node, str(LAUNCHER), str(self.port)], stdout=subprocess.DEVNULL)
        until(self._answers, "the SQS server answers", seconds=30)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def server() -> Iterator[Server]:
    """Meanwhile boto here has keys for it, and looks for no others."""
    if reason := missing():
        absent(reason)
    running = Server()
    running.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in NO_ACCOUNT.items():
                patch.setenv(name, value)
            yield running
    finally:
        running.stop()


def client(endpoint: str) -> Any:
    """boto, asked nothing about accounts."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=30)
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
    return boto3.session.Session().client("sqs", endpoint_url=endpoint, config=config, **keys)


class Proxy(ThreadingHTTPServer):
    """Passes calls of SQS on. `calls`: how many of each action; `batches`: the entries of each SendMessageBatch.
    `refuse(entry)`: whether one is taken out on its way and reported as failed through the server's fault, as AWS does
    in passing. `lost(action)`: whether a call is swallowed, its caller cut off."""

    daemon_threads = True

    def __init__(self, upstream: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.calls: Counter[str] = Counter()
        self.batches: list[int] = []
        self.refuse: Callable[[dict[str, Any]], bool] = lambda entry: False
        self.lost: Callable[[str], bool] = lambda action: False
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("X-Amz-Target", ".").rpartition(".")[2]
        refused: list[dict[str, Any]] = []
        with self.server.lock:
            self.server.calls[action] += 1
        if self.server.lost(action):
            self.close_connection = True
            return
        if action == "SendMessageBatch":
            body, refused = self._take_out(json.loads(body))
        self._answer(*self._ask(body), refused)

    def _take_out(self, call: dict[str, Any]) -> tuple[bytes, list[dict[str, Any]]]:
        self.server.batches.append(len(call["Entries"]))
        refused = [entry for entry in call["Entries"] if self.server.refuse(entry)]
        call["Entries"] = [entry for entry in call["Entries"] if entry not in refused]
        fault = {"SenderFault": False, "Code": "InternalError", "Message": "try again"}
        return json.dumps(call).encode(), [{"Id": entry["Id"], **fault} for entry in refused]

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        if json.loads(body or b"{}").get("Entries") == []:  # all of them were taken out
            return 200, b'{"Successful": [], "Failed": []}'
        connection = HTTPConnection("127.0.0.1", self.server.upstream.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        try:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 503, b"{}"
        finally:
            connection.close()

    def _answer(self, status: int, body: bytes, refused: list[dict[str, Any]]) -> None:
        if refused:
            answer = json.loads(body)
            answer["Failed"] = [*answer.get("Failed", []), *refused]
            body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever asked was stopped while its long poll waited here
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def proxy(upstream: Server) -> Iterator[Proxy]:
    between = Proxy(upstream)
    with served(between):
        yield between


def environment(endpoint: str, data: Path) -> dict[str, str]:
    """For the programs of an application whose broker is there."""
    variables = {"STAMPEDE_BROKER": "sqs", "STAMPEDE_SQS_ENDPOINT": endpoint, "STAMPEDE_DATA": str(data)}
    return {**os.environ, **NO_ACCOUNT, **variables}

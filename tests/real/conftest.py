"""A primary with two replicas and Redis, and this application as gunicorn serves it, each test process its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from config.serving import free_port
from deploy.local import layout, mariadb
from deploy.local.control import Supervisor
from tests.absent import absent
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]
REPLICAS = ("replica1", "replica2")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def source(self) -> str:
        return self.headers["X-Served-From"]

    @property
    def age(self) -> float:
        return float(self.headers["X-Data-Age"])


@dataclass(frozen=True)
class Stack:
    """The servers, and manage.py against them."""

    layout: layout.Layout
    environment: dict[str, str] = field(repr=False)
    books: subprocess.Popen[str] = field(repr=False)

    def python(self, code: str, **names: object) -> Any:
        """Run code in a process of the application (see `books`). Returns what it left in `out`."""
        assert self.books.stdin is not None
        assert self.books.stdout is not None
        self.books.stdin.write(json.dumps({"code": code, "names": names}) + "\n")
        self.books.stdin.flush()
        said = json.loads(self.books.stdout.readline())
        assert "error" not in said, said["error"]
        return said["out"]

    def sql(self, node: str, *statements: str) -> None:
        with mariadb.admin(self.layout, node) as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextmanager
    def stopped(self, *replicas: str) -> Iterator[None]:
        """These replicas receive what is written and apply none of it."""
        for replica in replicas:
            self.sql(replica, "STOP REPLICA SQL_THREAD")
        try:
            yield
        finally:
            for replica in replicas:
                self.sql(replica, "START REPLICA SQL_THREAD")
            self.caught_up()

    def caught_up(self) -> None:
        """Until both replicas hold everything that the primary holds now."""
        with mariadb.admin(self.layout, "primary") as cursor:
            cursor.execute("SELECT @@gtid_binlog_pos AS at")
            at = cursor.fetchone()["at"]
        for replica in REPLICAS:
            with mariadb.admin(self.layout, replica) as cursor:
                cursor.execute("SELECT MASTER_GTID_WAIT(%s, 15) AS late", [at])
                assert cursor.fetchone()["late"] == 0, f"{replica} did not catch up"

    def marks_are_old(self) -> None:
        """As if the cache had been holding marks for days: else nobody's are trusted before the maximal lag is over."""
        self.python("caches['marks'].set(marks._SINCE, time.time() - 1e6, timeout=None)")

    def pid(self, node: str) -> int:
        return Supervisor(self.layout).states()[node].pid

    def stop(self, node: str) -> None:
        Supervisor(self.layout).stop(node)

    def start(self, node: str) -> None:
        Supervisor(self.layout).start([node])


@dataclass
class Site:
    """One gunicorn process of the application."""

    stack: Stack
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, **fields: str) -> Answer:
        return self._ask("POST", path, urlencode(fields), {"Accept": "application/json"})

    def delete(self, path: str) -> Answer:
        return self._ask("DELETE", path, None, {})

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        if body is not None:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def sign_up(self, email: str) -> str:
        """The ticket."""
        answer = self.post("/signup/", email=email)
        assert answer.status == 202, answer
        return str(answer.json["ticket"])

    def counted(self, name: str, **labels: str) -> float:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.folder / "metrics"))
        return registry.get_sample_value(name, labels) or 0.0

    def queries(self, alias: str) -> float:
        role = "writer" if alias == "default" else "reader"
        return self.counted("stampede_database_queries_total", alias=alias, role=role)

    def unexpected(self) -> float:
        return self.counted("stampede_database_unexpected_primary_queries_total")

    def log(self) -> str:
        return (self.folder / "web.log").read_text()


@contextmanager
def gunicorn(stack: Stack, **settings: str) -> Iterator[Site]:
    """A web process that reads from both replicas already."""
    with tempfile.TemporaryDirectory(prefix="stampede-web-") as place, ExitStack() as stopping:
        folder, port = Path(place), free_port()
        (folder / "metrics").mkdir()
        environment = {
            **stack.environment,
            "STAMPEDE_BIND": f"127.0.0.1:{port}",
            "STAMPEDE_WEB_WORKERS": "1",
            "STAMPEDE_LOG_FORMAT": "line",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            **settings,
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "config.wsgi:application"]
        log = stopping.enter_context((folder / "web.log").open("wb"))
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        stopping.callback(_end, process)
        site = Site(stack, port, folder, process)
        servers = 1 + len(stack.layout.replicas) if stack.layout.replicas else 0  # without replicas nobody watches
        until(lambda: process.poll() is not None or site.log().count(" answers") == servers, "it knows its databases")
        assert process.poll() is None, site.log()
        until(lambda: _answers(site), "it answers")
        yield site


def _answers(site: Site) -> bool:
    try:
        return site.get("/healthz").status == 200
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(30)
    finally:
        for child in left:
            if child.is_running():
                child.kill()


@contextmanager
def servers(folder: Path, only: str) -> Iterator[Stack]:
    """A private stack of these programs with the application's tables and a sale."""
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = [program for program in ("mariadbd", "redis-server") if shutil.which(program, path=places) is None]
    if missing:
        absent(f"not installed here: {', '.join(missing)} (make test-packages)")

    def stack(action: str, *options: str) -> str:
        command = [sys.executable, "manage.py", "stack", action, "--folder", str(folder), *options]
        done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # What the tests' own process uses must not become the stack's.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STAMPEDE_")}
    clean["STAMPEDE_DATA"] = os.environ["STAMPEDE_DATA"]
    try:
        stack("up", "--only", only, "--base-port", "0", "--relaxed")
        variables = json.loads(stack("environment", "--json"))
        environment = {**clean, **variables, "DJANGO_SETTINGS_MODULE": "config.settings"}
        talk = [sys.executable, "-W", "ignore", "-m", "tests.real.books"]
        pipe = subprocess.PIPE
        with subprocess.Popen(talk, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as books:
            made = Stack(layout.load(folder), environment, books)
            made.python("")  # answered when the tables are made
            yield made
    finally:
        stack("down", "--wipe")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="stampede-real-") as place,
        servers(Path(place) / "stack", "primary,replica1,replica2,redis") as made,
    ):
        made.caught_up()
        made.marks_are_old()
        yield made

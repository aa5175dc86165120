"""A real web server, a real Chromium, and a stage hand that plays the workers and the chains."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests import deadline, private_stack

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20.0
_PART_OF_A_PAGE = re.compile(r"/(static|api)/")
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation",
  (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


def until(true: Callable[[], Any], what: str) -> Any:
    return deadline.until(true, what, seconds=PATIENCE)


@dataclass
class Stage:
    """The running application. `do` performs one of the acts in stage.py and waits until it is done."""

    url: str
    data: Path
    hand: subprocess.Popen[str]
    environment: dict[str, str]

    def do(self, *words: object) -> Any:
        assert self.hand.stdin is not None
        assert self.hand.stdout is not None
        self.hand.stdin.write(" ".join(map(str, words)) + "\n")
        self.hand.stdin.flush()
        answer = self.hand.stdout.readline()
        assert answer, f"the stage hand fell over at {words}"
        return json.loads(answer)

    def link_mailed_to(self, address: str, path: str) -> str:
        """The link under `path` in the mail to this address, as its reader would copy it."""

        def found() -> str | None:
            for mail in (self.data / "mail" / "new").glob("*"):
                message = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
                body = message.get_body(("plain",))
                link = re.search(rf"{re.escape(self.url)}{path}\S+", body.get_content() if body else "")
                if message["To"] == address and link:
                    return link.group()
            return None

        return str(until(found, f"a mail to {address} with a link to {path}"))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM} (Debian: apt install chromium)")
    return CHROMIUM


@pytest.fixture(scope="session")
def stage(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


@contextmanager
def on_stage(data: Path, **settings: str) -> Iterator[Stage]:
    """The application in this data folder, with these variables besides."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        **_servers_of_its_own(data),
        "STAMPEDE_DATA": str(data),
        "STAMPEDE_PUBLIC_URL": url,
        "STAMPEDE_POLL_SECONDS": "0.5",
        "STAMPEDE_BTC_CONFIRMATIONS": "3",
        "STAMPEDE_SIGNUPS_PER_MINUTE": "0",
        "PYTHONWARNINGS": "ignore",
        **settings,
    }
    hand = subprocess.Popen(
        [sys.executable, "-m", "tests.browser.stage"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    running = Stage(url=url, data=data, hand=hand, environment=environment)
    server = None
    try:
        running.do("prepare")
        server = _serve(port, environment, data)
        until(lambda: _answers(url), "the web server answers")
        yield running
    finally:
        for process in filter(None, (server, hand)):
            process.terminate()
            process.wait(PATIENCE)
        for pipe in filter(None, (hand.stdin, hand.stdout)):
            pipe.close()


def _servers_of_its_own(data: Path) -> dict[str, str]:
    """On the stack: a database beside those of the other tests. Its mails are found where the stack's mail server puts
    all of them; their links tell whose they are."""
    stack = private_stack.folder()
    if stack is None:
        return {}
    (data / "mail").symlink_to(stack / "app" / "mail")
    return {"STAMPEDE_DATABASE_URL": private_stack.new_database(f"test_{data.parent.name}_{data.name}")}


def _serve(port: int, environment: dict[str, str], data: Path) -> subprocess.Popen[bytes]:
    gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-b", f"127.0.0.1:{port}"]
    with open(data / "web.log", "wb") as log:
        return subprocess.Popen(
            [*gunicorn, "-k", "gthread", "--threads", "8", "config.wsgi:application"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


# Not for the session: while playwright runs there is an event loop in this thread, and Django's tests want none.
@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Somebody with a browser of their own, who writes down whatever the console complains of."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        # Chromium also notes there that a page itself came with an error status, as refused forms do.
        refused_page = "status of 4" in message.text and not _PART_OF_A_PAGE.search(message.location["url"])
        if message.type in ("error", "warning") and not refused_page:
            self.complaints.append(message.text)


@pytest.fixture
def visitor_with(chromium: Any, stage: Stage) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; `visitor_with(java_script_enabled=False)` and the like. Nobody may have had a cookie from a page
    of the sale or a complaint in the console."""
    contexts, visitors = [], []

    def arrive(**options: Any) -> Visitor:
        context = chromium.new_context(base_url=stage.url, **options)
        context.set_default_timeout(PATIENCE * 1000)
        context.add_init_script(_REPORT_VIOLATIONS)
        visitor = Visitor(context.new_page())
        visitor.listen()
        contexts.append(context)
        visitors.append(visitor)
        return visitor

    yield arrive
    for context in contexts:
        context.close()
    assert [visitor.complaints for visitor in visitors if visitor.complaints] == []


@pytest.fixture
def page(visitor_with: Callable[..., Visitor]) -> Any:
    return visitor_with().page

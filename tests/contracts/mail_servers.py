"""The mail servers of the contract: the Maildir of the embedded default, a real SMTP conversation with the sink, and an
SES emulator behind a door that can refuse, which the emulator itself never does."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pytest_django import Settings

from config.serving import free_port
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as the other side has it. `message_id`: "" where the service puts its own in its place."""

    to: str
    subject: str
    text: str
    html: str
    message_id: str = ""


def parsed(content: bytes) -> Received:
    """The parser keeps the space of a header that is folded before its first word."""
    mail: EmailMessage = message_from_bytes(content, policy=default)  # type: ignore[arg-type, assignment]
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert html
    text = plain.get_content().replace("\r\n", "\n")
    return Received(mail["To"], mail["Subject"].strip(), text, html.get_content(), mail["Message-ID"])


@dataclass
class Maildir:
    """Answers nothing, so it can only be away: then a file is where its folder should be."""

    folder: Path
    keeps_our_id: bool = True

    def use(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "config.maildir.EmailBackend"
        settings.MAILBOX_DIR = self.folder

    def received(self) -> list[Received]:
        new = self.folder / "new"
        return [parsed(path.read_bytes()) for path in sorted(new.iterdir())] if new.exists() else []

    def go(self) -> None:
        self.folder.write_text("no folder")

    def come_back(self) -> None:
        self.folder.unlink()


@dataclass
class Sink:
    """The sink in a process of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    keeps_our_id: bool = True

    def use(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", self.port

    def start(self) -> None:
        options = (f"--port={self.port}", f"--maildir={self.folder}", f"--refuse-file={self._refusals}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.smtp_sink", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdout
        assert str(self.port).encode() in self.process.stdout.readline()  # it says so when it listens

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        said, _ = self.process.communicate(timeout=20)
        assert (self.process.returncode, said) == (0, b"")  # no complaint, open conversations or not

    go = stop
    come_back = start

    def mails(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.folder / "new").iterdir())]

    def received(self) -> list[Received]:
        return [parsed(content) for content in self.mails()]

    def conversations(self) -> int:
        """How many there were, by the peers in the mails' traces."""
        return len({message_from_bytes(content)["Received"].split(";")[0] for content in self.mails()})

    def refuse(self, *answers: str) -> None:
        self._refusals.write_text("\n".join(answers))

    def refuse_ada_for_now(self) -> None:
        self.refuse("rcpt:ada@example.org 450 4.2.0 grey list")

    def refuse_ada_for_good(self) -> None:
        self.refuse("rcpt:ada@example.org 550 5.1.1 no such user: ada@example.org")

    def throttle(self) -> None:
        self.refuse("data 454 4.7.0 Throttling failure: Maximum sending rate exceeded.")

    def relent(self) -> None:
        self._refusals.unlink(missing_ok=True)

    @property
    def _refusals(self) -> Path:
        return self.folder.with_suffix(".refuse")


class Door(ThreadingHTTPServer):
    """Stands before the emulator: passes calls on, counts connections, and refuses as SES does."""

    daemon_threads = True

    def __init__(self, emulator: int) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.emulator, self.connections = emulator, 0
        self.refusal: tuple[int, str, str, str] | None = None  # status, code, message, only for this recipient

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()


class Passage(BaseHTTPRequestHandler):
    server: Door
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # an answer in one piece, else the kernel waits 40 ms between its two

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, answer = self._refusal(body) or self._passed_on(body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _refusal(self, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if not self.server.refusal:
            return None
        status, code, message, recipient = self.server.refusal
        if recipient and json.loads(body)["Destination"]["ToAddresses"] != [recipient]:
            return None
        return status, {"x-amzn-ErrorType": code}, json.dumps({"message": message}).encode()

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        emulator = http.client.HTTPConnection("127.0.0.1", self.server.emulator, timeout=20)
        emulator.request("POST", self.path, body, dict(self.headers))
        answer = emulator.getresponse()
        content = answer.read()
        emulator.close()
        return answer.status, {"Content-Type": answer.headers["Content-Type"]}, content

    def log_message(self, *args: Any) -> None:
        pass


@dataclass
class Ses:
    """ministack in a process of its own, with a door before it. It has no lasting words for "later": SES has none."""

    folder: Path
    port: int = field(default_factory=free_port)
    keeps_our_id: bool = False

    def start(self) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "SERVICES": "ses"}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ministack")],
            env={**environment, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port)},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "the SES emulator answers")
        self.door = Door(self.port)
        threading.Thread(target=self.door.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.door.shutdown()
        self.door.server_close()
        self.process.terminate()
        self.process.wait(20)

    def use(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "config.ses.EmailBackend"
        settings.SES_ENDPOINT = f"http://127.0.0.1:{self.door.server_port}"

    def received(self) -> list[Received]:
        (mails,) = self._ask("ses/messages")["messages"].values() or [[]]
        return [Received(mail["To"][0], mail["Subject"].strip(), mail["BodyText"], mail["BodyHtml"]) for mail in mails]

    def ids(self) -> set[str]:
        return {mail["MessageId"] for mails in self._ask("ses/messages")["messages"].values() for mail in mails}

    def forget(self) -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_ministack/reset", data=b"").close()

    def go(self) -> None:
        self.door.refusal = (503, "ServiceUnavailable", "", "")

    def throttle(self) -> None:
        self.door.refusal = (429, "TooManyRequestsException", "Maximum sending rate exceeded.", "")

    def refuse_ada_for_good(self) -> None:
        self.door.refusal = (400, "MessageRejected", "Address is on the suppression list", "ada@example.org")

    def relent(self) -> None:
        self.door.refusal = None

    come_back = relent

    def _answers(self) -> bool:
        try:
            return bool(self._ask("health"))
        except OSError:
            return False

    def _ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_ministack/{what}", timeout=5) as answer:
            return json.load(answer)


@contextmanager
def running(server: Any) -> Iterator[Any]:
    server.start()
    try:
        yield server
    finally:
        server.stop()

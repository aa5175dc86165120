"""A mail server that delivers into a Maildir and nowhere else.

    python -m deploy.local.smtp_sink --port N --maildir DIR [--refuse-file PATH]

What it takes is stored as it came, twice if it came twice: it must not hide what a worker did wrong. By the file of
refusals a test makes it refuse. While that file is there, each of its lines answers one step of the conversation, as
`<step> <reply>`: `greeting 421 4.3.2 shutting down`, `rcpt 450 4.2.1 busy`, `data 451 4.3.0 try again`,
`rcpt:ada@example.org 550 5.1.1 no such user`. An empty file refuses greeting and sender with 421, which ends the
conversation (RFC 5321).
"""

import argparse
import asyncio
import itertools
import os
import signal
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

STEPS = ("greeting", "mail", "rcpt", "data")
CLOSED = "421 4.3.2 Service not available"
OK = "250 OK"


class Refusals:
    """The file that says what is refused; looked at anew for each step."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def of(self, step: str, recipient: str = "") -> str:
        """The reply with which this step is refused, "" if it is not. Raises `ValueError` for an unknown step."""
        try:
            text = self._path.read_text() if self._path else None
        except FileNotFoundError:
            text = None
        if text is None:
            return ""
        lines = text.splitlines() or [f"greeting {CLOSED}", f"mail {CLOSED}"]
        for line in lines:
            which, _, reply = line.partition(" ")
            name, _, whom = which.partition(":")
            if name not in STEPS:
                raise ValueError(f"{self._path}: {name!r} is none of {', '.join(STEPS)}")
            if name == step and whom in ("", recipient):
                return reply
        return ""


class Conversation(SMTP):
    def __init__(self, *args: Any, refusals: Refusals, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusals = refusals

    async def push(self, status: Any) -> None:
        """Every reply passes here, the greeting (220) too, for which there is no hook."""
        text = status.decode() if isinstance(status, bytes) else status
        if text.startswith("220 "):
            text = self._refusals.of("greeting") or text
        await super().push(text)
        if text.startswith("421") and self.transport is not None:
            self.transport.close()


class Delivery:
    """Takes each mail into the folder's `new`, where it appears whole."""

    def __init__(self, maildir: Path, refusals: Refusals) -> None:
        self._maildir, self._refusals, self._numbers = maildir, refusals, itertools.count(1)
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refused = self._refusals.of("mail")
        if not refused:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return refused or OK

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refused = self._refusals.of("rcpt", address)
        if not refused:
            envelope.rcpt_tos.append(address)
        return refused or OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        refused = self._refusals.of("data")
        if not refused:
            self._store(_trace(session, envelope) + (envelope.original_content or b""))
        return refused or OK

    def _store(self, content: bytes) -> None:
        name = f"{time.time_ns()}.{os.getpid()}_{next(self._numbers)}.sink"
        draft = self._maildir / "tmp" / name
        draft.write_bytes(content)
        draft.rename(self._maildir / "new" / name)


def _trace(session: Session, envelope: Envelope) -> bytes:
    """What a mail server notes on top of what it takes; the peer's port tells one conversation from another."""
    peer: Any = session.peer or ("?", 0)  # a pair, of which aiosmtpd says that it is a string
    host, port = peer[:2]
    recipients = ", ".join(envelope.rcpt_tos)
    return (
        f"Return-Path: <{envelope.mail_from}>\r\n"
        f"Delivered-To: {recipients}\r\n"
        f"Received: from {session.host_name} ([{host}]:{port}) by sink with ESMTP; {formatdate()}\r\n"
    ).encode()


async def serve(*, host: str, port: int, maildir: Path, refuse_file: Path | None) -> None:
    """Take mails until SIGTERM or SIGINT. The line that is printed says that it listens, and on which port."""
    loop = asyncio.get_running_loop()
    refusals = Refusals(refuse_file)
    delivery = Delivery(maildir, refusals)
    server = await loop.create_server(
        lambda: Conversation(delivery, refusals=refusals, hostname="sink.local", loop=loop), host, port
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listening = server.sockets[0].getsockname()
    print(f"SMTP sink on {listening[0]}:{listening[1]}, mails in {maildir}", flush=True)  # noqa: T201 (a program's word)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.smtp_sink")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and says which")
    parser.add_argument("--maildir", type=Path, required=True)
    parser.add_argument("--refuse-file", type=Path, help="while this file is there, what it says is refused")
    chosen = parser.parse_args()
    asyncio.run(serve(**vars(chosen)))


if __name__ == "__main__":
    main()

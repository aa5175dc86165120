"""Invitation links as a person gets them: out of the mail, or one a line from a file."""

import hashlib
import mailbox
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as modern
from pathlib import Path

_LINK = re.compile(r"https?://[^\s\"'<>]+/i/[A-Za-z0-9_.~-]+/")


class NotEnoughLinks(Exception):
    """Fewer unused invitations than visitors; the message says how many and where."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link, and whom it was sent to ("" when it came from a file)."""

    link: str
    to: str = ""

    @property
    def mark(self) -> str:
        """Names the link in a record without giving it away: whoever has the link is the participant."""
        return hashlib.sha256(self.link.rstrip("/").rpartition("/")[2].encode()).hexdigest()


class Mailbox:
    """A Maildir read as mails arrive: each mail once, the newest invitation of each person."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: set[str] = set()
        self._found: dict[str, Invitation] = {}

    def invitations(self) -> list[Invitation]:
        if not (self._folder / "new").is_dir():
            return []
        box = mailbox.Maildir(self._folder, factory=None, create=False)
        for key in sorted(set(box.iterkeys()) - self._read):
            self._read.add(key)
            mail = BytesParser(_class=EmailMessage, policy=modern).parsebytes(box.get_bytes(key))
            self._take(mail)
        return list(self._found.values())

    def _take(self, mail: EmailMessage) -> None:
        body = mail.get_body(preferencelist=("plain", "html"))
        link = _LINK.search(body.get_content()) if body else None
        if link:
            identity = str(mail.get("Message-ID", "")) or link[0]
            self._found.setdefault(identity, Invitation(link[0], str(mail.get("To", "")).strip().lower()))


def from_file(path: Path) -> list[Invitation]:
    """One link a line; empty lines and lines that begin with # are skipped."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [Invitation(line) for line in lines if line and not line.startswith("#")]


def gather(
    *,
    source: Callable[[], list[Invitation]],
    where: str,
    needed: int,
    spent: Iterable[str],
    wait_seconds: float,
    waiting: Callable[[int], None] = lambda found: None,
) -> list[Invitation]:
    """`needed` invitations that no earlier run has used (`spent`: their marks), waiting for the mail if asked to.

    Raises `NotEnoughLinks`.
    """
    used = set(spent)
    until = time.monotonic() + wait_seconds
    while True:
        unused = [invitation for invitation in source() if invitation.mark not in used]
        if len(unused) >= needed:
            return unused[:needed]
        if time.monotonic() >= until:
            waited = f"after waiting {wait_seconds:g} s" if wait_seconds else "(--wait-for-mail SECONDS waits for more)"
            raise NotEnoughLinks(
                f"{needed} visitors need {needed} unused invitation links, and {where} has {len(unused)} {waited}. "
                "Run the signup scenario first, or lower --users."
            )
        waiting(len(unused))
        time.sleep(0.5)

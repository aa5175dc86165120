"""A mail backend without a server: each mail becomes a file of a Maildir, where people and tests can read it.

Delivering the same Message-ID twice leaves one mail, so a worker that died between sending and noting it may send
again.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class EmailBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = Path(settings.MAILBOX_DIR)
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for mail in email_messages:
            _deliver(folder, mail)
        return len(email_messages)


def _deliver(folder: Path, mail: EmailMessage) -> None:
    content = mail.message().as_bytes()
    identity = mail.extra_headers.get("Message-ID", "").encode() or content
    name = hashlib.sha256(identity).hexdigest()[:32]
    draft = folder / "tmp" / f"{name}.{os.getpid()}"
    draft.write_bytes(content)
    draft.rename(folder / "new" / name)

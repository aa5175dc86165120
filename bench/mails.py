"""How fast one worker sends mails, beside smtplib sending the same mails over one connection to the same server.

The worker takes whole messages from the outbox, as in production: claims, templates, two commits a mail. The
contender says the worker's own mails again, already made, and keeps no books.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

FOLDER = Path(tempfile.mkdtemp(prefix="stampede-bench-mails-"))
os.environ.update(STAMPEDE_DATA=str(FOLDER / "data"), STAMPEDE_LOG_LEVEL="WARNING", STAMPEDE_MAIL="smtp")
PEOPLE = 500


def sink() -> tuple[subprocess.Popen[bytes], int]:
    command = [sys.executable, "-m", "deploy.local.smtp_sink", "--port", "0", "--maildir", str(FOLDER / "mails")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    said = process.stdout.readline() if process.stdout else b""
    return process, int(said.split(b",")[0].rpartition(b":")[2])


def fill_the_outbox() -> None:
    from django.db import transaction
    from django.utils import timezone

    from ico import outbox
    from ico.models import Entrant, OutboxMessage, Sale

    OutboxMessage.objects.all().delete()
    Entrant.objects.all().delete()
    sale = Sale.objects.get()
    with transaction.atomic():
        names = (f"v{number}@example.org" for number in range(PEOPLE))
        Entrant.objects.bulk_create(Entrant(sale=sale, email=name, email_digest=name) for name in names)
        people = list(Entrant.objects.order_by("pk"))
        outbox.put(kind=OutboxMessage.Kind.PLACE, entrants=people, now=timezone.now())


def by_the_worker() -> float:
    """Mails a second."""
    from django.utils import timezone

    from config import delivery, outbox

    batches: list[outbox.Batch] = []
    outbox.relay(publish=batches.append, now=timezone.now())
    began = time.perf_counter()
    sent = sum(delivery.deliver(batch, clock=timezone.now) for batch in batches)
    if sent != PEOPLE:
        sys.exit(f"{sent} of {PEOPLE} mails went out")
    return sent / (time.perf_counter() - began)


def by_smtplib(port: int, contents: list[bytes]) -> float:
    """Mails a second."""
    with smtplib.SMTP("127.0.0.1", port) as server:
        began = time.perf_counter()
        for number, content in enumerate(contents):
            server.sendmail("sale@stampede.example", [f"v{number}@example.org"], content)
        return len(contents) / (time.perf_counter() - began)


def made() -> list[bytes]:
    from ico import mail
    from ico.models import OutboxMessage

    rows = OutboxMessage.objects.select_related("entrant__sale")
    return [mail.compose(row, message_id="<m@x>").message().as_bytes(linesep="\r\n") for row in rows]  # type: ignore[call-arg]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    process, port = sink()
    os.environ["STAMPEDE_SMTP_URL"] = f"smtp://127.0.0.1:{port}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.core.management import call_command

    django.setup()
    try:
        call_command("migrate", verbosity=0)
        call_command("seed_sale", verbosity=0)
        ours, theirs = [], []
        for _ in range(rounds):
            fill_the_outbox()
            contents = made()
            ours.append(by_the_worker())
            theirs.append(by_smtplib(port, contents))
        ratio = median(mine / bare for mine, bare in zip(ours, theirs, strict=True))
        print(
            f"mails: {median(ours):,.0f}/s by one worker, {median(theirs):,.0f}/s by smtplib alone: ratio {ratio:.2f}"
        )
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()

"""A worker is killed in the middle of a message of fifty mails: none is lost, and at most the one that was on its way
is repeated, under the same id (decision 4)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from ico import outbox
from ico.models import OutboxMessage, Sale
from tests.contracts import mail_servers
from tests.contracts.mail_servers import ROOT, Sink
from tests.deadline import until
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db(transaction=True)
State = OutboxMessage.State
MAILS = 50
RATE = 20  # mails a second, so that there is a middle


@pytest.fixture
def sink(tmp_path: Path, settings: Settings) -> Iterator[Sink]:
    with mail_servers.running(Sink(tmp_path / "mails")) as server:
        server.use(settings)
        yield server


def test_a_worker_killed_in_the_middle_of_a_message_loses_no_mail(sale: Sale, sink: Sink) -> None:
    for number in range(MAILS):
        join(sale, f"v{number}@example.org")
    messages: list[tuple[list[int], str]] = []
    outbox.relay(publish=lambda ids, claim: messages.append((ids, claim)), now=timezone.now())
    ((ids, claim),) = messages
    where = (str(connection.settings_dict["NAME"]), str(sink.port), str(RATE), claim)
    command = [sys.executable, "-m", "tests.contracts.mail_worker", *where, *map(str, ids)]
    worker = subprocess.Popen(command, cwd=ROOT)
    until(lambda: len(sink.mails()) >= 10, "ten mails have arrived")
    worker.kill()
    worker.wait()

    sent = OutboxMessage.objects.filter(state=State.SENT).count()
    assert 9 <= sent < MAILS  # it was the middle
    assert len(sink.mails()) - sent in (0, 1)
    later = timezone.now() + timedelta(seconds=outbox.CLAIM_SECONDS)
    outbox.relay(publish=lambda ids, claim: messages.append((ids, claim)), now=later)
    for ids, claim in messages:  # the first one is delivered again too, as SQS does when nobody acknowledged it
        outbox.deliver(ids=ids, claim=claim, clock=lambda: later)

    assert set(OutboxMessage.objects.values_list("state", flat=True)) == {State.SENT}
    arrived = Counter(mail.message_id for mail in sink.received())
    assert set(arrived) == set(OutboxMessage.objects.values_list("message_id", flat=True))
    assert len(arrived) == MAILS
    assert arrived.total() - len(arrived) <= 1

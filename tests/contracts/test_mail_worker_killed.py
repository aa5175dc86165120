"""A worker is killed in the middle of a message of fifty mails: none is lost, and at most the one that was on its way
is repeated, under the same id (decision 4). One that is told to stop ends after the mail at hand, and none is repeated.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from config import delivery, outbox
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


@pytest.fixture
def messages(sale: Sale) -> list[outbox.Batch]:
    """One message of fifty mails, as the relay published it."""
    for number in range(MAILS):
        join(sale, f"v{number}@example.org")
    published: list[outbox.Batch] = []
    outbox.relay(publish=published.append, now=timezone.now())
    return published


@contextmanager
def worker_in_the_middle(sink: Sink, batch: outbox.Batch, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    where = (str(connection.settings_dict["NAME"]), str(sink.port), str(RATE), batch.claim)
    command = [sys.executable, "-m", "tests.contracts.mail_worker", *where, *map(str, batch.ids)]
    environment = {**os.environ, "STAMPEDE_DATA": str(folder), "STAMPEDE_BROKER": "folder"}
    worker = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until(lambda: len(sink.mails()) >= 10, "ten mails have arrived")
        yield worker
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_that_does_not_ask_sends_its_whole_message_first(
    messages: list[outbox.Batch], sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: Celery waits for it. A message of 250 at a slow rate takes longer than supervisor waits."""
    monkeypatch.setenv("MAIL_WORKER_IS_DEAF", "1")
    (message,) = messages
    with worker_in_the_middle(sink, message, tmp_path) as worker:
        worker.terminate()
        assert worker.wait(30) == 0
    assert len(sink.mails()) == MAILS


def test_a_worker_told_to_stop_ends_between_two_mails_and_gives_the_rest_back(
    messages: list[outbox.Batch], sink: Sink, tmp_path: Path
) -> None:
    (message,) = messages
    with worker_in_the_middle(sink, message, tmp_path) as worker:
        worker.terminate()
        assert worker.wait(10) == 0
    rows = list(OutboxMessage.objects.order_by("pk").values_list("state", "attempts", "claim"))
    sent = [row for row in rows if row[0] == State.SENT]
    assert 10 <= len(sent) == len(sink.mails()) < MAILS  # it was the middle, and all of them are noted
    assert rows[len(sent) :] == [(State.PENDING, 0, "")] * (MAILS - len(sent))
    assert not OutboxMessage.objects.filter(state=State.PENDING, due_at__gt=timezone.now()).exists()


def test_a_worker_killed_in_the_middle_of_a_message_loses_no_mail(
    messages: list[outbox.Batch], sink: Sink, tmp_path: Path
) -> None:
    (message,) = messages
    with worker_in_the_middle(sink, message, tmp_path) as worker:
        worker.kill()

    sent = OutboxMessage.objects.filter(state=State.SENT).count()
    assert 9 <= sent < MAILS  # it was the middle
    assert len(sink.mails()) - sent in (0, 1)
    later = timezone.now() + timedelta(seconds=outbox.CLAIM_SECONDS)
    outbox.relay(publish=messages.append, now=later)
    for batch in messages:  # the first one is delivered again too, as SQS does when nobody acknowledged it
        delivery.deliver(batch, clock=lambda: later)

    assert set(OutboxMessage.objects.values_list("state", flat=True)) == {State.SENT}
    arrived = Counter(mail.message_id for mail in sink.received())
    assert set(arrived) == set(OutboxMessage.objects.values_list("message_id", flat=True))
    assert len(arrived) == MAILS
    assert arrived.total() - len(arrived) <= 1

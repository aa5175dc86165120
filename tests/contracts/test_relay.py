"""The relay and a real SQS server: mails are handed over in few calls; when the server is away they wait as rows, due
at once, and each is sent once when it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from config import delivery, outbox, tasks
from config.celery import app
from ico import waitlist
from ico.models import OutboxMessage, Sale
from tests.contracts.queues import Broker
from tests.contracts.sqs_servers import Proxy, Server

pytestmark = pytest.mark.process
State = OutboxMessage.State


@pytest.fixture(autouse=True)
def _its_broker(sqs: Broker) -> Iterator[None]:
    """The application's own Celery, with its broker behind the proxy."""
    before = {name: app.conf[name] for name in sqs.settings}
    _use(sqs.settings)
    yield
    _use(before)


def _use(broker: dict[str, object]) -> None:
    app.pool.force_close_all()
    app._pool = app.amqp._producer_pool = None
    app.conf.update(broker)


def sign_up(count: int, now: datetime) -> None:
    for number in range(count):
        waitlist.join(email=f"p{number}@relay.test", client_address=None, now=now)


def states() -> dict[str, int]:
    rows = OutboxMessage.objects.values_list("state", flat=True)
    return {state: list(rows).count(state) for state in set(rows)}


@pytest.mark.django_db(transaction=True)
def test_what_the_server_did_not_take_waits_and_is_handed_over_when_it_is_back(
    proxy: Proxy, server: Server, sale: Sale, now: datetime
) -> None:
    sign_up(30, now - timedelta(seconds=5))
    server.stop()
    for _ in range(2):
        assert tasks.hand_over() == 30
        assert states() == {State.PENDING: 30}
        assert OutboxMessage.objects.filter(due_at__lte=timezone.now(), attempts=0, claim="").count() == 30
    server.start()
    assert tasks.hand_over() == 30
    assert states() == {State.CLAIMED: 30}
    claim = OutboxMessage.objects.values_list("claim", flat=True).distinct().get()
    ids = OutboxMessage.objects.values_list("pk", flat=True)
    batch = outbox.Batch("sale", tuple(ids), claim)
    assert delivery.deliver(batch, clock=timezone.now) == 30
    assert delivery.deliver(batch, clock=timezone.now) == 0, "delivered twice, sent once"
    assert states() == {State.SENT: 30}


@pytest.mark.django_db(transaction=True)
def test_only_the_rows_of_the_message_that_was_refused_wait(
    proxy: Proxy, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MESSAGES_PER_TASK", 4)
    sign_up(12, now - timedelta(seconds=5))
    refused: set[str] = set()

    def refuse(entry: dict[str, str]) -> bool:
        refused.update([entry["MessageBody"]] if not refused else [])
        return entry["MessageBody"] in refused

    proxy.refuse = refuse
    assert tasks.hand_over() == 12
    assert states() == {State.PENDING: 4, State.CLAIMED: 8}
    assert proxy.batches == [3, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_the_first_mail_goes_at_once_and_those_after_it_are_gathered(
    proxy: Proxy, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MAIL_GATHER_SECONDS", 60.0)
    monkeypatch.setattr(tasks, "_relay_again", 0.0)
    sign_up(3, now - timedelta(seconds=5))
    tasks.relay()
    assert proxy.batches == [1]
    waitlist.join(email="late@relay.test", client_address=None, now=now - timedelta(seconds=5))
    tasks.relay()
    assert states() == {State.CLAIMED: 3, State.PENDING: 1}
    monkeypatch.setattr(tasks, "_relay_again", time.monotonic())
    tasks.relay()
    assert states() == {State.CLAIMED: 4}


@pytest.mark.django_db(transaction=True)
def test_a_backlog_is_not_held_up(proxy: Proxy, sale: Sale, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MAIL_GATHER_SECONDS", 60.0)
    monkeypatch.setattr(tasks, "_relay_again", 0.0)
    monkeypatch.setattr(outbox, "CLAIM_AT_ONCE", 5)
    sign_up(8, now - timedelta(seconds=5))
    tasks.relay()
    tasks.relay()
    assert states() == {State.CLAIMED: 8}

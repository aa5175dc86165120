"""Two relays, and two workers with the same message: every mail is sent once."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import pytest
from django.core import mail
from django.utils import timezone

from config import delivery, outbox
from ico.models import OutboxMessage, Sale
from tests.concurrency.rivals import broken, first, meanwhile, together
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 60
Message = outbox.Batch


@pytest.fixture
def keys(sale: Sale) -> list[int]:
    """Mails that are due, one for each of sixty people."""
    for n in range(PEOPLE):
        join(sale, f"v{n}@example.org")
    return list(OutboxMessage.objects.order_by("pk").values_list("pk", flat=True))


def relay(messages: list[Message]) -> None:
    outbox.relay(publish=messages.append, now=timezone.now())


def deliverer(messages: list[Message]) -> Callable[[], None]:
    def deliver() -> None:
        for message in messages:
            delivery.deliver(message, clock=timezone.now)

    return deliver


def rows_in(messages: list[Message]) -> list[int]:
    return sorted(key for message in messages for key in message.ids)


def recipients() -> Counter[str]:
    return Counter(message.to[0] for message in mail.outbox)


def test_two_relays_publish_each_mail_once(keys: list[int]) -> None:
    messages: list[Message] = []
    assert together(*[lambda: relay(messages)] * 4) == []
    assert rows_in(messages) == keys
    for message in messages:
        bearing = OutboxMessage.objects.filter(pk__in=message.ids).values_list("claim", flat=True)
        assert set(bearing) == {message.claim}


def test_a_relay_that_was_overtaken_after_looking_publishes_nothing_twice(
    keys: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[Message] = []
    overtaken = first(lambda: relay(messages), uuid.uuid4)
    monkeypatch.setattr(outbox, "uuid", SimpleNamespace(uuid4=overtaken))
    meanwhile(lambda: relay(messages))
    assert rows_in(messages) == keys


def test_looking_and_publishing_without_a_claim_publishes_twice(keys: list[int]) -> None:
    """Negative control."""
    messages: list[Message] = []
    looked = threading.Barrier(2)

    def look_then_publish() -> None:
        due = OutboxMessage.objects.filter(state="pending").order_by("pk")
        found = list(due.values_list("pk", flat=True))
        looked.wait(30)
        messages.append(Message("sale", tuple(found), "mine"))
        due.filter(pk__in=found).update(state="claimed", claim="mine")

    assert together(look_then_publish, look_then_publish) == []
    assert rows_in(messages) == sorted(keys * 2)


def test_a_message_that_two_workers_have_sends_each_mail_once(keys: list[int], now: datetime) -> None:
    messages: list[Message] = []
    relay(messages)
    assert together(*[deliverer(messages)] * 3) == []
    assert set(recipients().values()) == {1}
    assert len(recipients()) == PEOPLE
    assert set(OutboxMessage.objects.values_list("state", "attempts")) == {("sent", 1)}
    assert broken(now) - {"numbers-dense"} == set()


def test_a_worker_that_was_overtaken_after_looking_sends_nothing_twice(
    keys: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[Message] = []
    relay(messages)
    monkeypatch.setattr(delivery, "_mark", first(deliverer(messages), delivery._mark))
    deliverer(messages)()
    assert set(recipients().values()) == {1}
    assert len(recipients()) == PEOPLE


def test_without_the_mark_two_workers_send_twice(keys: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: whoever has read a row sends it, without making it theirs first."""
    messages: list[Message] = []
    relay(messages)
    have_read = threading.Barrier(2)
    monkeypatch.setattr(delivery, "_mark", lambda batch, row, now: have_read.wait(30) >= 0)
    assert together(deliverer(messages), deliverer(messages)) == []
    assert set(recipients().values()) == {2}

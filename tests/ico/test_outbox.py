from __future__ import annotations

import smtplib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from config import budget, delivery, outbox, transactions
from config.logging import caused_by
from config.maildir import EmailBackend as Maildir
from ico import invitations
from ico.models import Invitation, OutboxMessage, Sale
from ico.outbox import OUTBOX
from tests.ico.conftest import invite_all, join

pytestmark = pytest.mark.django_db
State = OutboxMessage.State


class Failing(BaseEmailBackend):
    """A mail server that answers each mail with the next error of a list, and takes it when the list is empty."""

    errors: list[Exception] = []

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        if Failing.errors:
            raise Failing.errors.pop(0)
        return Maildir().send_messages(email_messages)


class Fragile(Maildir):
    """A mail server that hangs up on one mail, whenever it gets it."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        if email_messages[0].to == ["poison@example.org"]:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return super().send_messages(email_messages)


@pytest.fixture(autouse=True)
def mailbox(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "config.maildir.EmailBackend"  # the test runner puts one without files in its place
    settings.MAILBOX_DIR = tmp_path / "mail"
    return tmp_path / "mail" / "new"


def failing(settings: Settings, *errors: Exception) -> None:
    settings.EMAIL_BACKEND = "tests.ico.test_outbox.Failing"
    Failing.errors = list(errors)


def mails(mailbox: Path) -> list[EmailMessage]:
    found = sorted(mailbox.iterdir()) if mailbox.exists() else []
    return [message_from_bytes(path.read_bytes(), policy=default) for path in found]  # type: ignore[arg-type, misc]


def claimed(now: datetime) -> list[outbox.Batch]:
    published: list[outbox.Batch] = []
    outbox.relay(publish=published.append, now=now)
    return published


def deliver_due(now: datetime) -> int:
    return sum(delivery.deliver(batch, clock=lambda: now) for batch in claimed(now))


def test_a_place_mail_goes_out_once_in_text_and_html(sale: Sale, mailbox: Path) -> None:
    place = join(sale, "ada@example.org")
    now = timezone.now()
    assert deliver_due(now) == 1
    assert deliver_due(now + timedelta(hours=1)) == 0
    (mail,) = mails(mailbox)
    message = OutboxMessage.objects.get()
    assert mail["To"] == "ada@example.org"
    assert mail["Message-ID"] == message.message_id
    assert (message.state, message.sent_at, message.attempts) == (State.SENT, now, 1)
    link = f"http://127.0.0.1:8000/line/{place.ticket}/"
    for kind in ("plain", "html"):
        body = mail.get_body(preferencelist=(kind,))  # type: ignore[attr-defined]
        assert link in body.get_content()


def test_an_invitation_mail_carries_a_token_that_the_database_does_not(
    sale: Sale, now: datetime, mailbox: Path
) -> None:
    join(sale, "ada@example.org")
    (invitation,) = invite_all(sale, now)
    deliver_due(timezone.now())
    token = invitations.token_of(invitation.nonce)
    (mail,) = [m for m in mails(mailbox) if "your turn" in m["Subject"]]
    assert f"/i/{token}/" in mail.get_body(preferencelist=("plain",)).get_content()  # type: ignore[attr-defined]
    row = Invitation.objects.filter(pk=invitation.pk).values().get()
    assert not any(token in str(value) for value in row.values())
    assert invitations.find(token, now=now).pk == invitation.pk


def test_a_second_delivery_of_the_same_message_sends_nothing(sale: Sale, mailbox: Path) -> None:
    join(sale, "ada@example.org")
    now = timezone.now()
    (batch,) = claimed(now)
    assert delivery.deliver(batch, clock=lambda: now) == 1
    assert delivery.deliver(batch, clock=lambda: now) == 0
    assert len(mails(mailbox)) == 1


def test_a_message_that_was_lost_is_claimed_again_after_its_lease(sale: Sale, mailbox: Path) -> None:
    join(sale, "ada@example.org")
    now = timezone.now()
    (lost,) = claimed(now)
    assert claimed(now + timedelta(seconds=outbox.CLAIM_SECONDS - 1)) == []
    later = now + timedelta(seconds=outbox.CLAIM_SECONDS)
    assert deliver_due(later) == 1
    assert delivery.deliver(lost, clock=lambda: later) == 0
    assert len(mails(mailbox)) == 1


def test_a_worker_that_died_after_sending_leaves_one_mail(sale: Sale, mailbox: Path) -> None:
    join(sale, "ada@example.org")
    now = timezone.now()
    deliver_due(now)
    # As if it had died before noting it: the row is still claimed.
    OutboxMessage.objects.update(state=State.CLAIMED, sent_at=None, due_at=now)
    assert deliver_due(now) == 1
    assert len(mails(mailbox)) == 1


@pytest.mark.parametrize(
    "error",
    [
        smtplib.SMTPDataError(451, b"4.3.0 later"),
        smtplib.SMTPRecipientsRefused({"ada@example.org": (450, b"busy")}),
        smtplib.SMTPNotSupportedError("no SMTPUTF8"),
        ValueError("a poison row"),
    ],
)
def test_a_mail_that_is_refused_for_now_is_tried_again_later(
    sale: Sale, mailbox: Path, settings: Settings, error: Exception
) -> None:
    failing(settings, error)
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    now = timezone.now()
    assert deliver_due(now) == 1  # the other one goes
    message = OutboxMessage.objects.order_by("pk")[0]
    assert (message.state, message.attempts) == (State.PENDING, 1)
    assert message.due_at == now + timedelta(seconds=settings.MAIL_RETRY_SECONDS)
    assert message.last_error
    assert deliver_due(now) == 0
    assert deliver_due(message.due_at) == 1
    assert len(mails(mailbox)) == 2


def test_attempts_back_off_and_end_parked(sale: Sale, mailbox: Path, settings: Settings) -> None:
    settings.MAIL_ATTEMPTS = 3
    failing(settings, *[smtplib.SMTPDataError(451, b"later")] * 3)
    join(sale, "ada@example.org")
    now = timezone.now()
    waits = []
    for _ in range(3):
        deliver_due(now)
        due_at = OutboxMessage.objects.get().due_at
        waits.append((due_at - now).total_seconds())
        now = due_at
    assert waits == [5, 10, 20]
    assert deliver_due(now) == 0
    assert OutboxMessage.objects.get().state == State.PARKED
    assert outbox.retry_parked(OUTBOX, [OutboxMessage.objects.get().pk], now=now) == 1
    assert deliver_due(now) == 1
    assert len(mails(mailbox)) == 1


AWAY = [
    ConnectionRefusedError("refused"),
    TimeoutError("timed out"),
    smtplib.SMTPServerDisconnected("gone"),
    smtplib.SMTPAuthenticationError(535, b"the password was changed"),
    smtplib.SMTPSenderRefused(550, b"who are you", "sale@stampede.example"),
    smtplib.SMTPDataError(421, b"4.3.2 shutting down"),
    smtplib.SMTPDataError(454, b"Throttling failure: Maximum sending rate exceeded."),
]


@pytest.mark.parametrize("error", AWAY)
def test_a_server_that_is_away_gets_the_rest_of_a_message_later_and_is_not_asked_for_each_mail(
    sale: Sale, mailbox: Path, settings: Settings, error: Exception
) -> None:
    failing(settings, error, AssertionError("nobody may ask a second time"))
    for name in ("ada", "bob", "cyd"):
        join(sale, f"{name}@example.org")
    now = timezone.now()
    assert deliver_due(now) == 0
    reopens = now + timedelta(seconds=settings.MAIL_RETRY_SECONDS)
    rows = list(OutboxMessage.objects.order_by("pk").values_list("state", "attempts", "due_at"))
    # It had been fine until then, so the mail at hand may be the reason: it pays and waits behind the others.
    own_wait = timedelta(seconds=settings.MAIL_RETRY_SECONDS)
    assert rows == [(State.PENDING, 1, reopens + own_wait)] + [(State.PENDING, 0, reopens)] * 2
    assert claimed(reopens - timedelta(microseconds=1)) == []
    Failing.errors.clear()
    assert deliver_due(reopens) == 1  # one mail to see whether it is back
    assert deliver_due(reopens) == 1
    assert deliver_due(reopens + own_wait) == 1
    assert len(mails(mailbox)) == 3


def test_a_server_that_is_away_for_hours_parks_nobody(sale: Sale, mailbox: Path, settings: Settings) -> None:
    settings.MAIL_ATTEMPTS = 3
    for name in ("ada", "bob"):
        join(sale, f"{name}@example.org")
    failing(settings, *[ConnectionRefusedError("refused")] * 10_000)
    now = start = timezone.now()
    while now < start + timedelta(hours=2):
        assert deliver_due(now) == 0
        now += timedelta(seconds=30)
    asked = 10_000 - len(Failing.errors)
    assert 60 < asked < 240  # about once a minute
    assert max(OutboxMessage.objects.values_list("attempts", flat=True)) == 1
    Failing.errors.clear()
    later = now + timedelta(minutes=2)
    assert [deliver_due(later), deliver_due(later)] == [1, 1]
    assert len(mails(mailbox)) == 2


def test_a_mail_that_brings_the_server_down_is_parked_and_holds_up_no_other(
    sale: Sale, mailbox: Path, settings: Settings
) -> None:
    settings.MAIL_ATTEMPTS = 3
    settings.EMAIL_BACKEND = "tests.ico.test_outbox.Fragile"
    join(sale, "poison@example.org")
    now = timezone.now()
    for minute in range(10):
        join(sale, f"v{minute}@example.org")
        for _ in range(60):
            now += timedelta(seconds=1)
            deliver_due(now)
        assert OutboxMessage.objects.filter(state=State.SENT).count() == minute + 1
    assert OutboxMessage.objects.get(state=State.PARKED).entrant.email == "poison@example.org"


def test_a_refusal_for_good_is_parked_at_once(sale: Sale, mailbox: Path, settings: Settings) -> None:
    failing(settings, smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no such user")}))
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    assert deliver_due(timezone.now()) == 1
    assert list(OutboxMessage.objects.order_by("pk").values_list("state", flat=True)) == [State.PARKED, State.SENT]
    assert [mail["To"] for mail in mails(mailbox)] == ["bob@example.org"]


def test_one_message_carries_many_rows(sale: Sale) -> None:
    for n in range(outbox.MESSAGES_PER_TASK + 1):
        join(sale, f"v{n}@example.org")
    assert [len(batch.ids) for batch in claimed(timezone.now())] == [outbox.MESSAGES_PER_TASK, 1]


def test_a_mail_bears_the_id_of_the_request_that_caused_it(sale: Sale) -> None:
    with caused_by("signup-of-ada"):
        join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    assert list(OutboxMessage.objects.order_by("pk").values_list("request_id", flat=True)) == ["signup-of-ada", ""]


def test_what_could_not_be_published_is_given_back_and_due_at_once(sale: Sale, mailbox: Path) -> None:
    for name in ("ada", "bob", "cyd"):
        join(sale, f"{name}@example.org")
    now = timezone.now()
    (batch,) = claimed(now)
    some = replace(batch, ids=batch.ids[:2])
    assert outbox.give_back(replace(some, claim="a claim of somebody else")) == 0
    assert outbox.give_back(some) == 2
    rows = OutboxMessage.objects.order_by("pk").values_list("state", "attempts", "claim")
    assert list(rows) == [(State.PENDING, 0, ""), (State.PENDING, 0, ""), (State.CLAIMED, 0, batch.claim)]
    assert deliver_due(now) == 2
    assert delivery.deliver(batch, clock=lambda: now) == 1
    assert len(mails(mailbox)) == 3


def unable_to_note(times: int) -> Callable[..., Any]:
    """A database that is gone whenever a worker wants to note that a mail was sent, so many times."""
    left = [times]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if left[0] and sql.startswith("UPDATE") and State.SENT in (params or ()):
            left[0] -= 1
            raise OperationalError(2006, "Server has gone away")
        return run(sql, params, many, context)

    return execute


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_seconds_does_not_make_us_send_twice(sale: Sale, mailbox: Path) -> None:
    join(sale, "ada@example.org")
    now, waited = timezone.now(), []
    (batch,) = claimed(now)
    with connection.execute_wrapper(unable_to_note(3)):
        assert delivery.deliver(batch, clock=lambda: now, pause=waited.append) == 1
    assert waited == list(delivery.NOTE_AGAIN_AFTER[:3])
    assert OutboxMessage.objects.get().state == State.SENT


@pytest.mark.django_db(transaction=True)
def test_one_that_is_away_for_longer_leaves_the_mail_to_be_sent_again(sale: Sale, mailbox: Path) -> None:
    """Negative control, and what decision 4 says: the mail went out, and the row does not know."""
    join(sale, "ada@example.org")
    now = timezone.now()
    (batch,) = claimed(now)
    with connection.execute_wrapper(unable_to_note(1_000)), pytest.raises(OperationalError):
        delivery.deliver(batch, clock=lambda: now, pause=lambda seconds: None)
    assert len(mails(mailbox)) == 1
    assert OutboxMessage.objects.get().state == State.CLAIMED
    assert deliver_due(now + timedelta(seconds=outbox.CLAIM_SECONDS)) == 1


# --- a claim and what goes on under it --------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_mail_that_took_longer_than_its_mark_is_told(
    sale: Sale, mailbox: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = "tests.ico.test_outbox.Endless"
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    assert deliver_due(timezone.now()) == 1
    ada, bob = OutboxMessage.objects.order_by("pk")
    assert (ada.state, bob.state) == (State.CLAIMED, State.SENT)
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert ada.key in told


class Endless(Maildir):
    """A server that is so slow with Ada's mail that somebody else claims it meanwhile."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        if email_messages[0].to == ["ada@example.org"]:
            OutboxMessage.objects.filter(entrant__email="ada@example.org").update(claim="of another worker")
        return super().send_messages(email_messages)


def test_a_worker_that_is_told_to_stop_gives_the_rest_back(sale: Sale, mailbox: Path) -> None:
    for name in ("ada", "bob", "cyd"):
        join(sale, f"{name}@example.org")
    now, asked = timezone.now(), iter([True, False, False])
    (batch,) = claimed(now)
    assert delivery.deliver(batch, clock=lambda: now, go_on=lambda: next(asked)) == 1
    rows = OutboxMessage.objects.order_by("pk").values_list("state", "attempts", "claim")
    assert list(rows)[1:] == [(State.PENDING, 0, "")] * 2
    assert deliver_due(now) == 2  # at once, and by the rate or not
    assert len(mails(mailbox)) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [smtplib.SMTPDataError(451, b"later"), smtplib.SMTPDataError(550, b"never")])
def test_a_refusal_is_noted_although_the_database_chose_us_as_a_victim(
    sale: Sale, mailbox: Path, settings: Settings, error: Exception
) -> None:
    failing(settings, error)
    join(sale, "ada@example.org")
    (batch,) = claimed(timezone.now())
    victims = [2]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if victims[0] and sql.startswith("UPDATE") and any("refused with" in str(value) for value in params or ()):
            victims[0] -= 1
            raise OperationalError(transactions.DEADLOCK, "Deadlock found")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        delivery.deliver(batch, clock=timezone.now)
    assert victims == [0]
    assert OutboxMessage.objects.get().last_error


def test_a_relay_hands_out_no_more_than_workers_can_send(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_AHEAD", 3)
    for number in range(5):
        join(sale, f"v{number}@example.org")
    now = timezone.now()
    assert sum(len(batch.ids) for batch in claimed(now)) == 3
    assert claimed(now) == []
    OutboxMessage.objects.filter(state=State.CLAIMED).update(state=State.SENT)
    assert sum(len(batch.ids) for batch in claimed(now)) == 2

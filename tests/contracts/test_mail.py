"""One contract for mails, whoever takes them: the Maildir of the embedded default, an SMTP server, SES."""

from __future__ import annotations

import io
import json
import logging
import smtplib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.utils import timezone
from pytest_django import Settings

from config import delivery, mail, outbox, ses
from config.logging import Json, caused_by, task
from ico import mail as texts
from ico.models import OutboxMessage, Sale
from tests.contracts import mail_servers
from tests.contracts.mail_servers import Maildir, Ses, Sink
from tests.ico.conftest import join

pytestmark = pytest.mark.django_db
State = OutboxMessage.State


@pytest.fixture(scope="module")
def _sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    with mail_servers.running(Sink(tmp_path_factory.mktemp("smtp") / "mails")) as server:
        yield server


@pytest.fixture(scope="module")
def _ses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ses]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        with mail_servers.running(Ses(tmp_path_factory.mktemp("ses"))) as server:
            yield server


@pytest.fixture
def sink(_sink: Sink, settings: Settings) -> Iterator[Sink]:
    for path in (_sink.folder / "new").iterdir():
        path.unlink()
    _sink.use(settings)
    yield _sink
    _sink.relent()


@pytest.fixture
def ses_emulator(_ses: Ses, settings: Settings) -> Iterator[Ses]:
    _ses.forget()
    _ses.use(settings)
    yield _ses
    _ses.relent()


@pytest.fixture
def maildir(tmp_path: Path, settings: Settings) -> Maildir:
    server = Maildir(tmp_path / "mails")
    server.use(settings)
    return server


@pytest.fixture(params=["maildir", "sink", "ses_emulator"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["sink", "ses_emulator"])
def answering(request: pytest.FixtureRequest) -> Any:
    """Those that can say no."""
    return request.getfixturevalue(request.param)


def deliver_due(now: datetime) -> int:
    batches: list[outbox.Batch] = []
    outbox.relay(publish=batches.append, now=now)
    return sum(delivery.deliver(batch, clock=lambda: now) for batch in batches)


def rows(*fields: str) -> list[Any]:
    return list(OutboxMessage.objects.order_by("pk").values_list(*fields))


# --- the contract -----------------------------------------------------------------------------------------------------
def test_a_mail_arrives_once_and_whole(sale: Sale, server: Any) -> None:
    Sale.objects.update(name="Żółw & Söhne — 売出し 🎟")
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    now = timezone.now()
    assert (deliver_due(now), deliver_due(now + timedelta(hours=1))) == (2, 0)
    ada, bob = sorted(server.received(), key=lambda mail: mail.to)
    assert (ada.to, bob.to) == ("ada@example.org", "bob@example.org")
    assert ada.subject == "You are in line for Żółw & Söhne — 売出し 🎟"
    assert "You are in line for Żółw & Söhne — 売出し 🎟." in ada.text
    assert "http://127.0.0.1:8000/line/" in ada.text
    assert "<title>You are in line for Żółw &amp; Söhne — 売出し 🎟</title>" in ada.html
    assert rows("state", "attempts", "last_error") == [(State.SENT, 1, "")] * 2
    if server.keeps_our_id:
        assert [ada.message_id, bob.message_id] == [row for (row,) in rows("message_id")]


def test_a_server_that_is_away_costs_no_attempts_and_gets_every_mail_later(sale: Sale, server: Any) -> None:
    for number in range(5):
        join(sale, f"v{number}@example.org")
    now = timezone.now()
    server.go()
    for _ in range(30):
        assert deliver_due(now) == 0
        now += timedelta(minutes=2)
    assert {state for (state,) in rows("state")} == {State.PENDING}
    assert sum(attempts for (attempts,) in rows("attempts")) <= 1
    server.come_back()
    assert deliver_due(now) == 1  # one, to see whether it is there
    assert deliver_due(now) == 4
    assert sorted(mail.to for mail in server.received()) == [f"v{number}@example.org" for number in range(5)]


def test_a_refusal_for_good_parks_one_mail_and_no_other(sale: Sale, answering: Any) -> None:
    answering.refuse_ada_for_good()
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    assert deliver_due(timezone.now()) == 1
    assert rows("state") == [(State.PARKED,), (State.SENT,)]
    assert [mail.to for mail in answering.received()] == ["bob@example.org"]


def test_being_throttled_stops_everybody_for_a_while_and_parks_nobody(
    sale: Sale, answering: Any, settings: Settings
) -> None:
    settings.MAIL_ATTEMPTS = 2
    for number in range(3):
        join(sale, f"v{number}@example.org")
    answering.throttle()
    now = timezone.now()
    for _ in range(20):
        assert deliver_due(now) == 0
        assert deliver_due(now + timedelta(seconds=1)) == 0
        now += timedelta(minutes=2)
    answering.relent()
    assert deliver_due(now) + deliver_due(now) == 3
    assert len(answering.received()) == 3


def test_fifty_mails_are_one_conversation(sale: Sale, answering: Any) -> None:
    for number in range(50):
        join(sale, f"v{number}@example.org")
    before = answering.door.connections if isinstance(answering, Ses) else 0
    assert deliver_due(timezone.now()) == 50
    after = answering.door.connections if isinstance(answering, Ses) else answering.conversations()
    assert after - before <= 1
    assert len(answering.received()) == 50


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a machine reads of the log."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(Json())
    logging.getLogger("config.delivery").addHandler(handler)
    yield lines
    logging.getLogger("config.delivery").removeHandler(handler)


def test_the_log_follows_each_mail_and_names_nobody(sale: Sale, answering: Any, log: io.StringIO) -> None:
    answering.refuse_ada_for_good()
    with caused_by("request-of-bob"):
        place = join(sale, "bob@example.org")
    with caused_by("request-of-ada"):
        join(sale, "ada@example.org")
    with task("task-of-the-worker"):
        deliver_due(timezone.now())
    sent, refused = [json.loads(line) for line in log.getvalue().splitlines()]
    keys = [key for (key,) in rows("key")]
    assert (sent["level"], sent["mail"], refused["level"]) == ("INFO", keys[0], "ERROR")
    assert keys[1] in refused["message"]
    assert (sent["request_id"], refused["request_id"]) == ("request-of-bob", "request-of-ada")
    assert sent["task_id"] == refused["task_id"] == "task-of-the-worker"
    assert "example.org" not in log.getvalue()
    assert str(place.ticket) not in log.getvalue()


# --- what one of them says and the others do not --------------------------------------------------------------------
def test_an_smtp_refusal_for_now_is_tried_again_and_counted(sale: Sale, sink: Sink, settings: Settings) -> None:
    sink.refuse_ada_for_now()
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    now = timezone.now()
    assert deliver_due(now) == 1
    assert rows("state", "attempts") == [(State.PENDING, 1), (State.SENT, 1)]
    sink.relent()
    assert deliver_due(now) == 0
    assert deliver_due(now + timedelta(seconds=settings.MAIL_RETRY_SECONDS)) == 1
    assert [mail.to for mail in sink.received()] == ["bob@example.org", "ada@example.org"]


@pytest.mark.parametrize("answers", [[], ["greeting 421 4.3.2 too many connections"], ["data 421 4.3.2 shutting down"]])
def test_an_smtp_server_that_is_going_down_is_away(sale: Sale, sink: Sink, answers: list[str]) -> None:
    sink.refuse(*answers)
    join(sale, "ada@example.org")
    join(sale, "bob@example.org")
    now = timezone.now()
    assert deliver_due(now) == 0
    sink.relent()
    assert deliver_due(now + timedelta(minutes=1)) + deliver_due(now + timedelta(minutes=1)) == 2


def test_the_sink_stores_what_comes_twice_twice(sale: Sale, sink: Sink) -> None:
    join(sale, "ada@example.org")
    now = timezone.now()
    deliver_due(now)
    # As if the worker had died before noting it: decision 4 says that the mail is repeated, under the same id.
    OutboxMessage.objects.update(state=State.CLAIMED, sent_at=None, due_at=now)
    assert deliver_due(now) == 1
    first, second = sink.received()
    assert first == second
    assert first.message_id == OutboxMessage.objects.get().message_id


def test_what_one_mail_may_wait_for_is_less_than_its_mark_lasts(
    sale: Sale, sink: Sink, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the server: whoever is still talking to it holds the mark. Counted over a real conversation, from
    the mark on."""
    answers = 0
    getreply = smtplib.SMTP.getreply

    def counting(self: smtplib.SMTP) -> tuple[int, bytes]:
        nonlocal answers
        answers += 1
        return getreply(self)

    join(sale, "ada@example.org")
    with mail.connection() as connection:
        connection.open()
        monkeypatch.setattr(smtplib.SMTP, "getreply", counting)
        connection.send(texts.compose(OutboxMessage.objects.get(), message_id="<a@stampede.example>"))
        assert answers == mail.ANSWERS_PER_MAIL
    noting = sum(delivery.NOTE_AGAIN_AFTER)
    assert mail.ANSWERS_PER_MAIL * settings.EMAIL_TIMEOUT + noting < outbox.CLAIM_SECONDS
    client = ses._client("eu-central-1", "http://127.0.0.1:1").meta.config
    assert client.connect_timeout + client.read_timeout + noting < outbox.CLAIM_SECONDS
    assert client.retries["total_max_attempts"] == 1


def test_a_sink_that_is_stopped_ends_its_conversations(tmp_path: Path) -> None:
    with mail_servers.running(Sink(tmp_path / "mails")) as server:
        talking = smtplib.SMTP("127.0.0.1", server.port)
        talking.ehlo()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        talking.noop()
    talking.close()


def test_the_id_that_ses_gives_is_kept_beside_ours(sale: Sale, ses_emulator: Ses) -> None:
    join(sale, "ada@example.org")
    deliver_due(timezone.now())
    row = OutboxMessage.objects.get()
    assert {row.taken_as} == ses_emulator.ids()
    assert row.message_id == f"<{row.key.replace(':', '.')}@stampede.example>"


def answered(status: int, code: str, message: str = "") -> ClientError:
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "SendEmail")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(429, "TooManyRequestsException"), mail.SlowDown),
        (answered(400, "LimitExceededException"), mail.SlowDown),
        (answered(400, "SendingPausedException"), mail.Away),
        (answered(400, "MailFromDomainNotVerifiedException"), mail.Away),
        (answered(403, "AccessDeniedException"), mail.Away),
        (answered(400, "ExpiredTokenException"), mail.Away),
        (answered(500, "InternalFailure"), mail.Away),
        (answered(400, "MessageRejected", "Email address is not verified: sale@stampede.example"), mail.Away),
        (answered(400, "MessageRejected", "Email address is not verified: ada@example.org"), mail.NeverAgain),
        (answered(400, "BadRequestException"), mail.NeverAgain),
    ],
)
def test_what_ses_answers_is_one_of_three_kinds(
    error: ClientError, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "config.ses.EmailBackend"

    def refuse(self: object, messages: object) -> int:
        raise ses.refusal(error, sender="Sale <sale@stampede.example>") from error

    monkeypatch.setattr(ses.EmailBackend, "send_messages", refuse)
    with mail.connection() as connection, pytest.raises(Exception) as caught:  # noqa: PT011 (the type is asserted)
        connection.send(mail.EmailMultiAlternatives(to=["ada@example.org"]))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (550, "5.1.1 no such user", mail.NeverAgain),
        (552, "5.2.2 mailbox full", mail.NeverAgain),
        (450, "4.2.0 grey list", mail.TryLater),
        (451, "4.7.1 please try again later", mail.TryLater),
        (451, "4.3.0 could not generate a reply", mail.TryLater),
        (452, "4.2.2 the account is over its quota", mail.TryLater),
        (452, "4.3.1 insufficient system storage", mail.SlowDown),
        (451, "4.3.2 system not accepting mails", mail.SlowDown),
        (450, "4.7.28 unusual rate of mails", mail.SlowDown),
        (421, "4.7.0 try again later", mail.SlowDown),
        (454, "Throttling failure: Daily message quota exceeded.", mail.SlowDown),
    ],
)
def test_what_smtp_answers_is_one_of_three_kinds(code: int, text: str, kind: type[Exception]) -> None:
    assert mail.kind_of_refusal(code, text) is kind

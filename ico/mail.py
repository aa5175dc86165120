"""The mails: what they say, and how a mail server's answer is understood."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse

from ico import invitations
from ico.models import Entrant, OutboxMessage
from ico.tickets import Kind, Ticket


class TryLater(Exception):
    """The mail server is away or busy; the same mail may go through later."""


class NeverAgain(Exception):
    """The mail server refused this mail for good."""


class Connection:
    """One conversation with the mail server, for many mails."""

    def __init__(self, backend: BaseEmailBackend) -> None:
        self._backend = backend

    def send(self, mail: EmailMultiAlternatives) -> None:
        """Hand one mail over. Raises `TryLater`, `NeverAgain`."""
        try:
            self._backend.send_messages([mail])
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _kind(max(codes, default=451))(f"recipient refused ({codes})") from error
        except smtplib.SMTPDataError as error:
            raise _kind(error.smtp_code)(f"refused with {error.smtp_code}") from error
        except smtplib.SMTPResponseException as error:
            self._backend.close()  # about the conversation (a password, a sender), not about this mail
            raise TryLater(f"the server answered {error.smtp_code}") from error
        except OSError as error:  # smtplib's other errors and the network's are all of this family
            self._backend.close()  # the next mail opens a new conversation instead of failing on this one
            raise TryLater(f"{type(error).__name__}: {error}") from error


def _kind(code: int) -> type[Exception]:
    return NeverAgain if 500 <= code < 600 else TryLater


@contextmanager
def connection() -> Iterator[Connection]:
    backend = get_connection()
    try:
        yield Connection(backend)
    finally:
        backend.close()


def message_id(message: OutboxMessage) -> str:
    """The same for every attempt, so a mail server or reader can tell a repetition."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{message.key.replace(':', '.')}@{domain}>"


def compose(message: OutboxMessage, *, message_id: str) -> EmailMultiAlternatives:
    """The mail of this row, in text and HTML."""
    kind = OutboxMessage.Kind(message.kind)
    entrant = message.entrant
    context = {"entrant": entrant, "sale": entrant.sale, **_LINKS[kind](entrant)}
    subject = render_to_string(f"ico/mail/{kind.value}.subject.txt", context).strip()
    mail = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string(f"ico/mail/{kind.value}.txt", context),
        to=[entrant.email],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"ico/mail/{kind.value}.html", context), "text/html")
    return mail


def _place_link(entrant: Entrant) -> dict[str, object]:
    ticket = str(Ticket(Kind.HOLDER, entrant.sale_id, entrant.pk))
    return {"link": settings.PUBLIC_URL + reverse("ico:line", args=[ticket])}


def _invitation_link(entrant: Entrant) -> dict[str, object]:
    invitation = entrant.invitation
    token = invitations.token_of(invitation.nonce)
    return {"link": settings.PUBLIC_URL + reverse("ico:terms", args=[token]), "invitation": invitation}


_LINKS = {
    OutboxMessage.Kind.PLACE: _place_link,
    OutboxMessage.Kind.INVITATION: _invitation_link,
}

"""Mails: what all of them have, and how a mail server's answer is understood. What they say is their application's."""

import re
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string


class TryLater(Exception):
    """This mail was refused for now; the same mail may be taken later, and others now."""


class Away(Exception):
    """No mail gets through for now, whichever it is: the server does not answer, or does not talk to us."""


class SlowDown(Away):
    """The server takes no mail for now, because we send faster or more than it allows."""


class NeverAgain(Exception):
    """The mail server refused this mail for good."""


# What smtplib waits for when it sends one mail: EHLO (the first time), MAIL, RCPT, DATA, the dot. Each wait may last
# `EMAIL_TIMEOUT`, and all of them, with the note that it was sent, must fit into the mark's lease: while one worker
# still talks to a slow server, no other may send the same mail.
ANSWERS_PER_MAIL = 5


class Connection:
    """One conversation with the mail server, for many mails."""

    def __init__(self, backend: BaseEmailBackend) -> None:
        self._backend = backend

    def open(self) -> None:
        """Begin the conversation, unless it goes on. Raises `Away`."""
        try:
            self._backend.open()
        except smtplib.SMTPResponseException as error:
            raise _about_us(error.smtp_code, error.smtp_error) from error
        except OSError as error:  # smtplib's other errors and the network's are all of this family
            raise Away(f"{type(error).__name__}: {error}") from error

    def send(self, mail: EmailMultiAlternatives) -> str:
        """Hand one mail over. Returns the id under which the service took it, "" if it names none. Raises `TryLater`,
        `Away`, `SlowDown`, `NeverAgain`; after an error of another kind the conversation begins anew."""
        try:
            self._backend.send_messages([mail])
        except smtplib.SMTPRecipientsRefused as error:
            raise max((_about_mail(*answer) for answer in error.recipients.values()), key=_weight) from error
        except smtplib.SMTPDataError as error:
            raise _about_mail(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPResponseException as error:  # of the conversation: a password, a sender
            raise _about_us(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise TryLater(str(error)) from error
        except OSError as error:
            raise Away(f"{type(error).__name__}: {error}") from error
        except Exception:
            self.close()  # half of a mail may have been said
            raise
        return str(getattr(mail, "taken_as", ""))

    def close(self) -> None:
        with suppress(OSError):  # whatever was taken was taken; a good-bye that fails changes nothing
            self._backend.close()


@contextmanager
def connection() -> Iterator[Connection]:
    """A conversation that is closed at the end; it begins with the first mail."""
    conversation = Connection(get_connection())
    try:
        yield conversation
    finally:
        conversation.close()


_ABOUT_RECIPIENT = re.compile(r"4\.[126]\.")  # enhanced status codes (RFC 3463): address, mailbox, content
_TOO_FAST = re.compile(r"throttl|too (many|fast|much)|\brate\b|quota|4\.3\.[12]", re.IGNORECASE)
_BUSY_CODES = (421, 452, 454)  # not available, out of storage; 454 is how SES says that the rate is exceeded


def kind_of_refusal(code: int, text: str) -> type[Exception]:
    """What a reply (RFC 5321) to a mail's recipient or content means: about this mail, or about all of them?

    452 and 4.2.2 may be a recipient's full mailbox, 450 a grey list, 451 with "rate" in it the server's limit.
    """
    if 500 <= code < 600:
        return NeverAgain
    if code == 421:
        return SlowDown
    if _ABOUT_RECIPIENT.match(text):
        return TryLater
    return SlowDown if code in _BUSY_CODES or _TOO_FAST.search(text) else TryLater


def _about_mail(code: int, text: bytes | str) -> Exception:
    return kind_of_refusal(code, _words(text))(f"refused with {_name(code, text)}")


def _about_us(code: int, text: bytes | str) -> Exception:
    kind = SlowDown if kind_of_refusal(code, _words(text)) is SlowDown else Away
    return kind(f"the server answered {_name(code, text)}")


def _weight(error: Exception) -> int:
    return (TryLater, NeverAgain, SlowDown).index(type(error))


def _words(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _name(code: int, text: bytes | str) -> str:
    """The code and the enhanced one. Not the words: they often repeat the recipient's address, and this is logged."""
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}", _words(text))
    return f"{code} {enhanced[0]}" if enhanced else str(code)


def message_id(key: str) -> str:
    """The same for every attempt, so a mail server or reader can tell a repetition. `key`: the row's."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{key.replace(':', '.')}@{domain}>"


def written(template: str, *, to: str, message_id: str, context: Mapping[str, object]) -> EmailMultiAlternatives:
    """A mail in text and HTML. `template` without its ending: its subject is in `.subject.txt`."""
    values = dict(context)
    mail = EmailMultiAlternatives(
        subject=render_to_string(f"{template}.subject.txt", values).strip(),
        body=render_to_string(f"{template}.txt", values),
        to=[to],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"{template}.html", values), "text/html")
    return mail

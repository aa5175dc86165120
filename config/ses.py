"""Amazon SES as a mail backend, by its API (version 2) over boto3.

Its errors are told in SMTP's words, as SES's own SMTP endpoint does and as everybody expects of a Django mail backend:
454 for too fast, 554 for a mail that is refused for good, `SMTPSenderRefused` when the sender is not verified,
`SMTPAuthenticationError` for wrong keys. Credentials come by boto's usual ways (environment, file, role).

SES puts a Message-ID of its own into each mail; it is left on the mail as `taken_as`. boto does not try again by
itself: a second call after a lost answer may be a second mail, and that is for the outbox to decide.
"""

import smtplib
from collections.abc import Sequence
from email.utils import parseaddr
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import sanitize_address

CONNECT_SECONDS = 5
TOO_FAST = {
    "TooManyRequestsException",
    "Throttling",
    "ThrottlingException",
    "LimitExceededException",  # the day's quota
}
NOT_OURS = {"MailFromDomainNotVerifiedException", "NotFoundException"}
NOT_NOW = {"SendingPausedException", "AccountSuspendedException"}


class EmailBackend(BaseEmailBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client: Any = None

    def open(self) -> bool:
        """Take the process's client; it keeps its connection between mails and between messages. Raises
        `ConnectionError`."""
        if self._client is not None:
            return False
        try:
            self._client = _client(settings.SES_REGION, settings.SES_ENDPOINT)
        except BotoCoreError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        return True

    def close(self) -> None:
        self._client = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        self.open()
        for mail in email_messages:
            mail.taken_as = self._send(mail)  # type: ignore[attr-defined]
        return len(email_messages)

    def _send(self, mail: EmailMessage) -> str:
        """SES's id of the mail. Raises smtplib's errors and `ConnectionError`."""
        encoding = mail.encoding or settings.DEFAULT_CHARSET
        sender = sanitize_address(mail.from_email, encoding)
        try:
            answer = self._client.send_email(
                FromEmailAddress=sender,
                Destination={"ToAddresses": [sanitize_address(to, encoding) for to in mail.recipients()]},
                Content={"Raw": {"Data": mail.message().as_bytes(linesep="\r\n")}},  # type: ignore[call-arg]
            )
        except ClientError as error:
            raise refusal(error, sender=sender) from error
        except BotoCoreError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        return str(answer["MessageId"])


def refusal(error: ClientError, *, sender: str) -> smtplib.SMTPResponseException:
    """SES's answer as an SMTP server would say it."""
    code = error.response.get("Error", {}).get("Code", "")
    words = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code in TOO_FAST or status == 429:
        return smtplib.SMTPDataError(454, f"4.7.0 Throttling failure ({code})".encode())
    if code in NOT_NOW or status >= 500:
        return smtplib.SMTPResponseException(451, f"4.3.0 {code}".encode())
    if status in (401, 403) or "Token" in code or "Signature" in code:
        return smtplib.SMTPAuthenticationError(535, f"5.7.8 {code}".encode())
    if code in NOT_OURS or (code == "MessageRejected" and _is_about(sender, words)):
        return smtplib.SMTPSenderRefused(530, f"5.7.1 {code}".encode(), sender)
    return smtplib.SMTPDataError(554, f"5.6.0 {code}".encode())


def _is_about(sender: str, words: str) -> bool:
    """While an account is in its sandbox recipients must be verified too, so the words tell who was meant."""
    address = parseaddr(sender)[1]
    return "not verified" in words and address.lower() in words.lower()


@cache
def _client(region: str, endpoint: str) -> Any:
    patient = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=settings.EMAIL_TIMEOUT,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
    )
    return boto3.client("sesv2", region_name=region, endpoint_url=endpoint or None, config=patient)

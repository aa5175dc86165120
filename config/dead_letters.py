"""Messages that were received time and again and never finished: looking at them, sending them back, deleting them.

Everything here may be interrupted: a message leaves the dead-letter queue only after it is in the other one. Whoever
stops in between leaves it in both, and a message that comes twice does no harm.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from config import batching, queues, sqs

HIDDEN_SECONDS = 120  # while one looks, nobody else sees the message
EMPTY_ANSWERS = 2  # SQS asks some of its servers only: nothing, twice, means nothing


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message: its id, when it was first sent, how often it was received, what it says, and the receipt by which we
    hold it."""

    id: str
    sent_at: datetime
    receives: int
    body: str
    attributes: dict[str, Any]
    receipt: str

    @property
    def task(self) -> str:
        """The name of its task; "" when Celery did not write it."""
        return str(self._headers().get("task", ""))

    @property
    def arguments(self) -> str:
        """What its task is called with, as Celery abbreviates it; else the beginning of what it says."""
        return str(self._headers().get("argsrepr", "")) or self.body[:80]

    def _headers(self) -> dict[str, Any]:
        try:
            headers = json.loads(_text(self.body))["headers"]
        except (ValueError, KeyError, TypeError):
            return {}
        return headers if isinstance(headers, dict) else {}


def _text(body: str) -> str:
    """The message, whether kombu put it into Base64 or not."""
    try:
        return base64.b64decode(body, validate=True).decode()
    except ValueError:
        return body


@dataclass
class DeadLetters:
    """The dead letters of one queue. Raises `queues.QueueMissing` when there are no such queues, and boto's errors when
    SQS does not answer."""

    client: Any
    name: str
    address: str = field(init=False)
    dead_address: str = field(init=False)

    def __post_init__(self) -> None:
        self.address = queues.address(self.client, self.name)
        self.dead_address = queues.address(self.client, self.name + queues.DEAD)

    def held(self) -> Iterator[list[DeadLetter]]:
        """All of them, some at a time, hidden from everybody else for `HIDDEN_SECONDS`."""
        seen: set[str] = set()
        empty = 0
        while empty < EMPTY_ANSWERS:
            answer = self.client.receive_message(
                QueueUrl=self.dead_address,
                MaxNumberOfMessages=batching.MOST_ENTRIES,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            letters = [_letter(message) for message in answer.get("Messages", ()) if message["MessageId"] not in seen]
            seen.update(letter.id for letter in letters)
            empty = 0 if letters else empty + 1
            if letters:
                yield letters

    def send_back(self, letters: list[DeadLetter]) -> dict[str, str]:
        """Put them into the queue again, then delete those that are in it. Returns why others are not, or are still
        here as well, by id."""
        try:
            batching.send([batching.Letter(self, self.address, one.id, *_entry(one)) for one in letters])
            refused: dict[str, str] = {}
        except batching.NotPublished as error:
            refused = error.reasons
        # One that is sent back and not deleted comes twice, which is harmless, and is dead a second time.
        return refused | self.delete([letter for letter in letters if letter.id not in refused])

    def delete(self, letters: list[DeadLetter]) -> dict[str, str]:
        """Returns why some were not deleted, by id; they come again."""
        if not letters:
            return {}
        failed = sqs.delete_batch(self.client, self.dead_address, [one.receipt for one in letters])
        return {letters[position].id: why for position, why in failed.items()}

    def release(self, letters: list[DeadLetter]) -> None:
        """Others may see them again."""
        for start in range(0, len(letters), batching.MOST_ENTRIES):
            part = letters[start : start + batching.MOST_ENTRIES]
            hidden = [{"ReceiptHandle": one.receipt, "VisibilityTimeout": 0} for one in part]
            entries = [{"Id": str(number), **one} for number, one in enumerate(hidden)]
            self.client.change_message_visibility_batch(QueueUrl=self.dead_address, Entries=entries)

    def send_batch(self, queue: str, entries: list[dict[str, Any]]) -> list[batching.Refused]:
        """See `batching.Sender`."""
        return sqs.send_batch(self.client, queue, entries)


def _letter(message: dict[str, Any]) -> DeadLetter:
    told = message.get("Attributes", {})
    return DeadLetter(
        id=message["MessageId"],
        sent_at=datetime.fromtimestamp(int(told.get("SentTimestamp", 0)) / 1000, UTC),
        receives=int(told.get("ApproximateReceiveCount", 0)),
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        receipt=message["ReceiptHandle"],
    )


def _entry(letter: DeadLetter) -> tuple[dict[str, Any], int]:
    """What SendMessageBatch is given, and its size."""
    entry: dict[str, Any] = {"MessageBody": letter.body}
    if letter.attributes:
        entry["MessageAttributes"] = letter.attributes
    return entry, batching.size(entry)

"""Celery's broker in SQS: kombu's transport (5.7) with some things otherwise.

- What is published inside `batching.together` is sent with SendMessageBatch.
- It asks for its queue by name; kombu lists all queues of the account whenever a channel is opened.
- Asking for messages goes on when SQS does not answer, or answers with an error; kombu's ends for good, in silence.
- What is done is deleted ten at a time, a second later at most, instead of one call each.
- What cannot be decoded is left to the dead-letter queue; a worker would acknowledge it, and it would be gone.
"""

import logging
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from kombu.asynchronous.aws.sqs.message import AsyncMessage
from kombu.transport import SQS, virtual
from kombu.utils.json import dumps, loads
from vine import promise

from config import batching, queues

logger = logging.getLogger(__name__)

ACK_SECONDS = 1.0  # a crash within it means that finished work is delivered again: harmless
RETRY_SECONDS = 1.0  # until SQS is asked again that did not answer
_KombuChannel: Any = SQS.Channel
_KombuTransport: Any = SQS.Transport


def send_batch(client: Any, address: str, entries: list[dict[str, Any]]) -> list[batching.Refused]:
    """One SendMessageBatch. A call that fails as a whole was tried several times by boto: no further one here."""
    numbered = [{"Id": str(position), **entry} for position, entry in enumerate(entries)]
    try:
        answer = client.send_message_batch(QueueUrl=address, Entries=numbered)
    except (BotoCoreError, ClientError) as error:
        return [batching.Refused(position, str(error), again=False) for position in range(len(entries))]
    return [
        batching.Refused(int(one["Id"]), f"{one['Code']}: {one.get('Message', '')}", again=not one["SenderFault"])
        for one in answer.get("Failed", ())
    ]


def delete_batch(client: Any, address: str, receipts: list[str]) -> dict[int, str]:
    """One DeleteMessageBatch. Returns why some were not deleted, by position. Raises boto's errors for all of them."""
    entries = [{"Id": str(position), "ReceiptHandle": receipt} for position, receipt in enumerate(receipts)]
    answer = client.delete_message_batch(QueueUrl=address, Entries=entries)
    return {int(one["Id"]): one.get("Message") or one["Code"] for one in answer.get("Failed", ())}


class Channel(_KombuChannel):  # type: ignore[misc]  # kombu has no types
    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._done: dict[str, list[str]] = {}  # receipts by the queue's address, to be deleted
        self._deleting: Any = None  # the timer that will do so
        self._trouble = ""
        super().__init__(*arguments, **options)

    @property
    def sender(self) -> Any:
        """A client that gives up soon: whoever publishes has a row to fall back on."""
        if self.connection.sender is None:
            self.connection.sender = self._new_boto_client(
                service="sqs",
                region=self.region,
                access_key_id=self.conninfo.userid,
                secret_access_key=self.conninfo.password,
                config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}),
            )
        return self.connection.sender

    # --- sending
    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        letters = batching.gathering()
        if letters is None or message.get("redelivered") or queue.endswith(".fifo"):
            super()._put(queue, message, **options)
            return
        entry = self._entry(message)
        task = str(message["headers"].get("id", ""))
        letters.append(batching.Letter(self, queue, task, entry, batching.size(entry)))

    def _entry(self, message: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        if attributes := message["properties"].pop("message_attributes", None):
            entry["MessageAttributes"] = attributes
        delay = self._resolve_delay_seconds(message["properties"])
        if delay is not None:
            entry["DelaySeconds"] = delay
        text = dumps(message)
        entry["MessageBody"] = AsyncMessage().encode(text) if self.sqs_base64_encoding else text
        return entry

    def send_batch(self, queue: str, entries: list[dict[str, Any]]) -> list[batching.Refused]:
        """See `batching.Sender`."""
        try:
            address = self._resolve_queue_url(queue)
        except (BotoCoreError, ClientError, queues.QueueMissing) as error:
            return [batching.Refused(position, str(error), again=False) for position in range(len(entries))]
        refused = send_batch(self.sender, address, entries)
        if refused:
            self.forget(queue)
        return refused

    # --- receiving
    def _schedule_queue(self, queue: str) -> None:
        """Ask for messages. As kombu has it, an answer that is no answer ends the asking for good, in silence."""
        if queue not in self._active_queues:
            return
        again = promise(self._loop1, (queue,), on_error=self._ask_later)
        try:
            if self.qos.can_consume():
                self._get_bulk_async(queue, callback=again)
            else:
                self._loop1(queue)
        except (BotoCoreError, ClientError, queues.QueueMissing) as error:  # looking for the queue
            self._ask_later(queue, error)

    def _ask_later(self, queue: str, error: Exception) -> None:
        if str(error) != self._trouble:
            known = isinstance(error, (OSError, BotoCoreError, ClientError, queues.QueueMissing))
            logger.warning("no messages from %s for now: %s", queue, error, exc_info=None if known else error)
        self._trouble = str(error)
        self.forget(queue)
        self.hub.call_later(RETRY_SECONDS, self._schedule_queue, queue)

    def _on_messages_ready(self, queue: str, qname: str, messages: Any) -> int:
        if not isinstance(messages, dict):
            raise OSError("SQS did not answer")
        self._trouble = ""
        good = [message for message in messages.get("Messages", ()) if self._readable(message, qname)]
        return int(super()._on_messages_ready(queue, qname, {"Messages": good}))

    def _readable(self, message: dict[str, Any], queue: str) -> bool:
        """A worker acknowledges what it cannot decode, and it is gone. Here it is left alone, and SQS moves it to the
        dead-letter queue after the last of its receipts."""
        try:
            text = self._decode_python_message_body(message["Body"])
            payload = self._envelope_payload(loads(text), text, dict(message), queue)
            self.Message(payload, channel=self, accept={"application/json"}).decode()
        except Exception as error:  # noqa: BLE001 (whatever it is that somebody put there)
            logger.error("message %s in %s cannot be read and is left: %s", message.get("MessageId"), queue, error)
            return False
        return True

    # --- acknowledging
    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        try:
            info = self.qos.get(delivery_tag).delivery_info
            address, receipt = info["sqs_queue"], info["sqs_message"]["ReceiptHandle"]
        except KeyError:
            address = None
        if address is None or not self.hub:  # without an event loop nobody would come back to delete it
            super().basic_ack(delivery_tag, multiple)
            return
        virtual.Channel.basic_ack(self, delivery_tag, multiple)  # the worker may take the next one
        self._done.setdefault(address, []).append(receipt)
        if len(self._done[address]) == batching.MOST_ENTRIES:
            self._delete_done()
        elif not self._deleting:
            self._deleting = self.hub.call_later(ACK_SECONDS, self._delete_done)

    def _delete_done(self) -> None:
        done, self._done, self._deleting = self._done, {}, None
        for address, receipts in done.items():
            try:
                failed = list(delete_batch(self.sender, address, receipts).values())
            except (BotoCoreError, ClientError) as error:
                failed = [str(error)]
            if failed:
                logger.warning("what is done in %s was not deleted and will come again: %s", address, failed)

    def close(self) -> None:
        if not self.closed:
            self._delete_done()
        super().close()

    # --- finding the queue
    def _update_queue_cache(self, queue_name_prefix: str) -> None:
        """Nothing: kombu lists all queues of the account here, for each new channel."""

    def _resolve_queue_url(self, queue: str) -> str:
        name = self.canonical_queue_name(queue)
        if name not in self._queue_cache:
            plan = queues.plan(self.transport_options)
            self._queue_cache[name] = queues.found(self.sender, name, plan)
        return str(self._queue_cache[name])

    def forget(self, queue: str) -> None:
        """Ask for the queue's address again next time: an emulator that was restarted has none of its queues."""
        self._queue_cache.pop(self.canonical_queue_name(queue), None)


class Transport(_KombuTransport):  # type: ignore[misc]
    Channel = Channel

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.sender: Any = None  # shared by the connection's channels, as kombu's own clients are
        self.connection_errors: Any = (*_KombuTransport.connection_errors, queues.QueueMissing)

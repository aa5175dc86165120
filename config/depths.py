"""How many messages the broker holds: read for `/metrics`, and by `/readyz` as a sign that it answers."""

from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from config.cache import remembered
from config.metrics import Figure, Figures, Values

ANSWER_SECONDS = 1  # a broker that needs longer counts as one that does not answer
READ_SECONDS = 10.0  # SQS bills each question
ATTRIBUTES = {"ApproximateNumberOfMessages": "waiting", "ApproximateNumberOfMessagesNotVisible": "at a worker"}

DEPTH = Figure("stampede_queue_messages", "Messages in a queue of the broker, as far as it knows.", ("queue", "state"))


def depths() -> list[tuple[str, str, int]]:
    """(queue, state, messages) of the queue and, in SQS, of its dead letters. Raises whatever the broker's client
    raises when it does not answer."""
    return _sqs() if settings.BROKER == "sqs" else _folder()


def known() -> list[tuple[str, str, int]]:
    """`depths`, as somebody of all processes learned them in the last seconds: SQS bills each question. When it does
    not answer nothing new is remembered, so it raises once the last answer is too old."""
    return [tuple(held) for held in remembered("figures:queues", seconds=READ_SECONDS, make=depths)]  # type: ignore[misc]


def _folder() -> list[tuple[str, str, int]]:
    name = settings.CELERY_TASK_DEFAULT_QUEUE
    # A message is gone from here once a worker has it; `iterdir` raises when there is no such folder, `glob` does not.
    messages = sum(path.name.endswith(f".{name}.msg") for path in Path(settings.QUEUE_DIR, "messages").iterdir())
    return [(name, "waiting", messages)]


def _sqs() -> list[tuple[str, str, int]]:
    from config.queues import DEAD  # here, for it imports the part that only SQS needs

    client, name = _client(), settings.SQS_PREFIX + settings.CELERY_TASK_DEFAULT_QUEUE
    found = []
    for queue in (name, name + DEAD):
        address = client.get_queue_url(QueueName=queue)["QueueUrl"]
        held = client.get_queue_attributes(QueueUrl=address, AttributeNames=list(ATTRIBUTES))["Attributes"]
        found += [(queue, state, int(held[attribute])) for attribute, state in ATTRIBUTES.items()]
    return found


@cache
def _client() -> Any:
    from botocore.config import Config

    from config import queues

    patience = Config(connect_timeout=ANSWER_SECONDS, read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1})
    return queues.client(patience)


def _read() -> Values:
    for queue, state, messages in known():
        yield DEPTH, (queue, state), messages


FIGURES = (Figures("queues", (DEPTH,), _read),)

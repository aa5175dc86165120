"""The queues in SQS: each with a dead-letter queue, made here for an emulator, only looked for in an account.

A message that was received `receives` times without being deleted is moved by SQS to `<name>-dead`, where
`manage.py dead_letters` finds it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings

logger = logging.getLogger(__name__)

DEAD = "-dead"
DAY = 86_400


class QueueMissing(Exception):
    """A queue does not exist, or is not set up as the work needs it. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a queue must be: seconds for which a received message is hidden, and how often one is received before it is
    dead. `make`: create what is missing (an emulator forgets its queues when it ends)."""

    visibility: int
    receives: int
    make: bool


def plan(transport_options: Mapping[str, Any]) -> Plan:
    return Plan(
        visibility=int(transport_options["visibility_timeout"]),
        receives=int(transport_options["receives"]),
        make=bool(transport_options["make_queues"]),
    )


def found(client: Any, name: str, wanted: Plan) -> str:
    """The address of the queue, once it and its dead-letter queue are as planned. Raises `QueueMissing`, and boto's
    errors when SQS does not answer."""
    if wanted.make:
        return _made(client, name, wanted)
    where = address(client, name)
    answer = client.get_queue_attributes(QueueUrl=where, AttributeNames=["RedrivePolicy", "VisibilityTimeout"])
    attributes = answer.get("Attributes", {})
    if "RedrivePolicy" not in attributes:
        raise QueueMissing(f"the SQS queue {name} has no redrive policy; give it one to {name}{DEAD}")
    if int(attributes["VisibilityTimeout"]) < wanted.visibility:
        raise QueueMissing(f"the SQS queue {name} hides a message too shortly; {wanted.visibility} s are needed")
    return where


# Of a command that looks after the queues: SQS that does not answer is an error soon.
PATIENCE = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


def client(patience: Config = PATIENCE) -> Any:
    """boto's client for the SQS of the settings."""
    return boto3.client(
        "sqs",
        endpoint_url=settings.SQS_ENDPOINT or None,
        region_name=settings.SQS_REGION,
        config=patience,
    )


def address(client: Any, name: str) -> str:
    """Where a queue is. Raises `QueueMissing`."""
    try:
        return str(client.get_queue_url(QueueName=name)["QueueUrl"])
    except ClientError as error:
        if "NonExistentQueue" in error.response["Error"]["Code"] or "DoesNotExist" in error.response["Error"]["Code"]:
            raise QueueMissing(f"there is no SQS queue {name}; the templates in deploy/ make it") from error
        raise


def _made(client: Any, name: str, wanted: Plan) -> str:
    """Make both, or make those that are there as planned. Safe to run twice and at the same time."""
    dead_address = _create(client, name + DEAD, {"MessageRetentionPeriod": str(14 * DAY)})
    answer = client.get_queue_attributes(QueueUrl=dead_address, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": answer["Attributes"]["QueueArn"], "maxReceiveCount": str(wanted.receives)}
    attributes = {
        "VisibilityTimeout": str(wanted.visibility),
        "MessageRetentionPeriod": str(4 * DAY),
        "RedrivePolicy": json.dumps(policy),
    }
    return _create(client, name, attributes)


def _create(client: Any, name: str, attributes: dict[str, str]) -> str:
    try:
        return str(client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
    except ClientError as error:
        if "QueueNameExists" not in error.response["Error"]["Code"] and "AlreadyExists" not in str(error):
            raise
        where = address(client, name)
        client.set_queue_attributes(QueueUrl=where, Attributes=attributes)
        return where

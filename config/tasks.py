"""Celery tasks of all applications: mails, and tidying up. The relay is a tick of the clock (`config/clock.py`), and
workers take up its messages. Each is safe to run twice and at the same time, because rows are claimed."""

import logging
import time

from celery import shared_task
from celery.worker import state
from django.conf import settings
from django.utils import timezone

from config import batching, delivery, outbox, sessions

logger = logging.getLogger(__name__)

_relay_again = 0.0  # not before this moment of the clock's own process


@shared_task(name="config.relay")
def relay() -> None:
    """Hand the mails that are due to the workers. The first goes at once; what comes within the next seconds is
    gathered, for each message costs three calls of the broker. A backlog is not held up."""
    global _relay_again
    if time.monotonic() < _relay_again:
        return
    if 0 < hand_over() < outbox.CLAIM_AT_ONCE:
        _relay_again = time.monotonic() + settings.MAIL_GATHER_SECONDS


def hand_over() -> int:
    """Publish what is due, together. What could not be published waits again, due at once. Returns how many mails were
    claimed."""
    batches: list[outbox.Batch] = []
    published: dict[str, int] = {}

    def publish(batch: outbox.Batch) -> None:
        batches.append(batch)
        published[str(deliver.delay(batch.outbox, list(batch.ids), batch.claim).id)] = len(batches) - 1

    try:
        with batching.together():
            return outbox.relay(publish=publish, now=timezone.now())
    except batching.NotPublished as error:
        logger.warning("mails wait, for the broker does not take them: %s", error)
        _give_back([batches[published[task]] for task in error.reasons])
        return sum(len(batch.ids) for batch in batches)
    except Exception:
        _give_back(batches)
        raise


def _give_back(batches: list[outbox.Batch]) -> None:
    for batch in batches:
        outbox.give_back(batch)


@shared_task(name="config.deliver")
def deliver(kept_as: str, ids: list[int], claim: str) -> None:
    """Send the mails of one message, until this worker is told to stop. `kept_as`: the outbox's name."""
    delivery.deliver(outbox.Batch(kept_as, tuple(ids), claim), clock=timezone.now, go_on=_go_on)


def _go_on() -> bool:
    """Celery's signal handlers put the exit code in these, which is 0 as a rule. The pool waits for its threads then,
    and supervisor only so long for the pool."""
    return all(told is None or told is False for told in (state.should_stop, state.should_terminate))


@shared_task(name="config.tidy")
def tidy() -> None:
    """Delete sessions that are over."""
    sessions.tidy(now=timezone.now())

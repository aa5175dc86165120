"""What the mail account may send, and whether the mail server takes mails at all. One row, shared by all workers.

The rate is a token bucket: turns come back evenly, `MAILS_PER_SECOND` of them a second, and what is not used is kept
for a quarter of a second only, so that a quiet hour saves nothing up. In any span of s seconds all workers together get
at most `rate * s + burst(rate)` turns; one that holds turns and stalls may use those later, at most `burst` of them.

The gate: when the server is away or says that we are too fast, nobody tries before `closed_until`. The wait doubles
with each setback, up to a minute, and begins anew once a mail went through; until then one mail at a time is tried.
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from config.models import MailBudget

logger = logging.getLogger(__name__)

NAME = "mail"
PATIENCE_SECONDS = 10.0  # a worker waits so long for turns in all, before it hands the rest of its mails back
LONGEST_CLOSED_SECONDS = 60
AHEAD_SECONDS = 10  # so many seconds' worth of mails may be with the workers; the relay gathers for some of them
# Without a rate: what workers send within a lease if they manage 50 a second together. More would be claimed and
# published again while its first message still waits.
MOST_AHEAD = 3_000
PROBE = 1  # so many mails are tried with a server that was away
RIVALS = 50  # workers that may come between before one gives up for a moment
LEAST_WAIT_SECONDS = 0.001

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Clock = Callable[[], datetime]
Pause = Callable[[float], None]


def burst(rate: int) -> int:
    """How many turns a full bucket holds."""
    return max(1, rate // 4)


def available(*, full_at: datetime, rate: int, now: datetime) -> int:
    """Turns in the bucket. `full_at`: when it is full again, if nobody takes any."""
    missing = max(timedelta(0), full_at - now) // _MICROSECOND
    return max(0, (burst(rate) * 1_000_000 - missing * rate) // 1_000_000)


def full_after(*, full_at: datetime, taken: int, rate: int, now: datetime) -> datetime:
    """When the bucket is full again after so many turns were taken; rounded so that it is never too early."""
    return max(full_at, now) + -(-taken * 1_000_000 // rate) * _MICROSECOND


def wait_for(turns: int, *, full_at: datetime, rate: int, now: datetime) -> float:
    """Seconds until so many turns (at most a burst) are in the bucket."""
    room = max(0, burst(rate) - turns)
    return max(0.0, (full_at - now).total_seconds() - room / rate)


@dataclass(frozen=True, slots=True)
class Closing:
    """The gate was closed. `server_was_fine`: until just now, so the mail at hand may be the reason."""

    until: datetime
    server_was_fine: bool


def turns(wanted: int, *, clock: Clock, pause: Pause) -> Iterator[None]:
    """Yields once for each mail that may be sent now, at most `wanted` times, and waits for turns in between. Ends
    early when the gate is closed or patience is over."""
    patience = PATIENCE_SECONDS
    while wanted > 0:
        taken, wait = _take(wanted, now=clock())
        yield from [None] * taken
        wanted -= taken
        if wanted == 0 or wait > patience:
            return
        patience -= wait
        pause(wait)


def places(count: int, *, now: datetime) -> list[datetime]:
    """When so many mails that got no turn should be tried again: spread as their turns will come."""
    start = max(now, _row().closed_until)
    rate = settings.MAILS_PER_SECOND
    return [start + timedelta(seconds=number / rate if rate else 0) for number in range(1, count + 1)]


def room(*, with_workers: Callable[[], int], most: int, now: datetime) -> int:
    """How many mails may be handed to workers now, besides those that are with them."""
    row, rate = _row(), settings.MAILS_PER_SECOND
    if row.closed_until > now:
        return 0
    if row.setbacks:
        return max(0, PROBE - with_workers())
    ahead = rate * AHEAD_SECONDS if rate else MOST_AHEAD
    return min(most, max(0, ahead - with_workers()))


def close(*, why: str, now: datetime) -> Closing:
    """No mail gets through: let nobody try for a while. Whoever finds the gate closed already leaves it so."""
    row = _row()
    if row.closed_until > now:
        return Closing(until=row.closed_until, server_was_fine=False)
    wait = min(settings.MAIL_RETRY_SECONDS * 2 ** min(row.setbacks, 16), LONGEST_CLOSED_SECONDS)
    until = now + timedelta(seconds=wait)
    unchanged = MailBudget.objects.filter(name=NAME, closed_until=row.closed_until, setbacks=row.setbacks)
    if not unchanged.update(closed_until=until, setbacks=row.setbacks + 1):
        return Closing(until=max(now, _row().closed_until), server_was_fine=False)
    logger.warning("no mails for %g s: %s", wait, why)
    return Closing(until=until, server_was_fine=row.setbacks == 0)


def went_through() -> None:
    """A mail was taken by the server, so it works."""
    if MailBudget.objects.filter(name=NAME, setbacks__gt=0).update(setbacks=0):
        logger.info("the mail server takes mails again")


def _take(wanted: int, *, now: datetime) -> tuple[int, float]:
    """(turns taken, seconds until some more can be). The row is moved only from where it was read, so whoever comes
    between is seen."""
    rate = settings.MAILS_PER_SECOND
    for _ in range(RIVALS):
        row = _row()
        if row.closed_until > now:
            return 0, math.inf
        if not rate:
            return wanted, 0.0
        taken = min(wanted, available(full_at=row.full_at, rate=rate, now=now))
        full_at = full_after(full_at=row.full_at, taken=taken, rate=rate, now=now) if taken else row.full_at
        if not taken or MailBudget.objects.filter(name=NAME, full_at=row.full_at).update(full_at=full_at):
            more = max(1, min(wanted - taken, burst(rate) // 2))  # not a full bucket: what it cannot hold is lost
            return taken, max(LEAST_WAIT_SECONDS, wait_for(more, full_at=full_at, rate=rate, now=now))
    return 0, LEAST_WAIT_SECONDS


def _row() -> MailBudget:
    fresh = {"full_at": _LONG_AGO, "closed_until": _LONG_AGO}
    row, _ = MailBudget.objects.get_or_create(name=NAME, defaults=fresh)
    return row

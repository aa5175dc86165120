"""The serving board: what everybody in line needs to know to work out where they stand.

One small value for all: the highest released number, the last number given, and the numbers in between that left. It is
written to a file after every change and read by every web process on the machine; a poll costs one `stat`, and parses
again only when the file is a new one. The rows are the truth: a board that is missing is built from them, and a board
that nobody renews goes on being served with its age (`as_of`).
"""

import fcntl
import json
import math
import os
import random
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from config import database, transactions
from ico.models import Entrant, Release, Sale

PLACING_POLL_SECONDS = 1.0
NEAR_POLL_SECONDS = 10.0
JITTER = 0.1
RATE_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Board:
    """The line at one moment.

    `departed`: ascending numbers above `served` that left. `waiting`: numbered people still in line.
    `seconds_per_place`: mean time between two invitations lately, None when nobody was invited in the window or the
    sale is not releasing. `raw`: the same as JSON bytes, as `/api/board` sends them.
    """

    sale: str
    status: str
    served: int
    last_number: int
    departed: tuple[int, ...]
    waiting: int
    seconds_per_place: float | None
    batch_size: int
    as_of: datetime
    raw: bytes

    def ahead_of(self, number: int) -> int | None:
        """How many wait before this number; None when it left. Only for numbers above `served`."""
        before = bisect_left(self.departed, number)
        if before < len(self.departed) and self.departed[before] == number:
            return None
        return number - self.served - 1 - before

    def estimated_wait(self, position: int) -> int | None:
        """Seconds until this position is invited at the recent rate, None when the rate is unknown."""
        return None if self.seconds_per_place is None else math.ceil(position * self.seconds_per_place)

    def poll_after(self, ahead: int | None) -> float:
        """When to ask again: the usual pace, faster for those in the next batch; spread, so that a crowd that came
        together does not ask together."""
        pace = float(settings.POLL_SECONDS)
        if ahead is not None and ahead < self.batch_size:
            pace = min(pace, NEAR_POLL_SECONDS)
        return round(pace * random.uniform(1 - JITTER, 1 + JITTER), 1)  # noqa: S311 (spreading, not a secret)


def publish(sale_id: int) -> None:
    """Write the board anew from the rows once the surrounding transaction is committed (at once outside of one)."""
    transaction.on_commit(partial(_write, sale_id))


def current(sale_id: int) -> Board:
    """The newest board of this sale. No query unless the file is missing."""
    path = _path(sale_id)
    try:
        stamp = _stamp(path)
    except FileNotFoundError:
        with database.primary("no board yet"):
            _write(sale_id)
        stamp = _stamp(path)
    known = _read.get(sale_id)
    if known is None or known[0] != stamp:
        known = _read[sale_id] = (stamp, _parse(path.read_bytes()))
    database.remembered(known[1].as_of)
    return known[1]


def on_this_machine() -> list[Board]:
    """The boards that lie here, as their files say: no query."""
    return [current(int(path.stem.removeprefix("board-"))) for path in _files()]


def forget() -> None:
    """Drop what this process has read and remove the files (another database, as between tests)."""
    _read.clear()
    for path in _files():
        path.unlink()


_read: dict[int, tuple[tuple[int, int], Board]] = {}


def _path(sale_id: int) -> Path:
    return Path(settings.DATA_DIR) / f"board-{sale_id}.json"


def _files() -> list[Path]:
    return sorted(Path(settings.DATA_DIR).glob("board-*.json"))


def _stamp(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ino


def _parse(raw: bytes) -> Board:
    fields: dict[str, Any] = json.loads(raw)
    return Board(
        sale=fields["sale"],
        status=fields["status"],
        served=fields["served"],
        last_number=fields["last_number"],
        departed=tuple(fields["departed"]),
        waiting=fields["waiting"],
        seconds_per_place=fields["seconds_per_place"],
        batch_size=fields["batch_size"],
        as_of=datetime.fromisoformat(fields["as_of"]),
        raw=raw,
    )


@contextmanager
def _writing(sale_id: int) -> Iterator[None]:
    """One writer at a time, rows read inside: else an older reading could land on top of a newer one."""
    with open(_path(sale_id).with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(sale_id: int) -> None:
    with _writing(sale_id):
        raw = json.dumps(_from_rows(sale_id, timezone.now()), separators=(",", ":")).encode()
        draft = _path(sale_id).with_suffix(".draft")
        draft.write_bytes(raw)
        # The kernel's own time stamps tick every few milliseconds and inodes are used again: two boards could look
        # the same. The clock's nanoseconds, taken by one writer at a time, tell them apart.
        written_at = time.time_ns()
        os.utime(draft, ns=(written_at, written_at))
        draft.rename(_path(sale_id))


def _from_rows(sale_id: int, now: datetime) -> dict[str, object]:
    with transactions.one_moment():  # the sale and those who left it
        sale = Sale.objects.get(pk=sale_id)
        departed = list(
            Entrant.objects.filter(sale=sale, state=Entrant.State.LEFT, number__gt=sale.served)
            .order_by("number")
            .values_list("number", flat=True)
        )
    pace = _seconds_per_place(sale, now)
    return {
        "sale": sale.slug,
        "status": _status(sale, now),
        "served": sale.served,
        "last_number": sale.last_number,
        "departed": departed,
        "waiting": sale.last_number - sale.served - len(departed),
        "seconds_per_place": pace,
        "batch_size": sale.batch_size,
        "poll_after_seconds": settings.POLL_SECONDS,
        "as_of": now.isoformat(),
    }


def _status(sale: Sale, now: datetime) -> str:
    if now < sale.opens_at:
        return "upcoming"
    if now >= sale.closes_at:
        return "closed"
    return "paused" if sale.paused else "open"


def _seconds_per_place(sale: Sale, now: datetime) -> float | None:
    """Mean seconds between invitations over the recent window, from the batch before the window's first to now.

    A first batch alone has no rate; and a rate is only promised while releases go on.
    """
    if _status(sale, now) != "open" or sale.gate_closed:
        return None
    batches = sale.releases.filter(reason=Release.Reason.RELEASED, decided_at__gte=now - RATE_WINDOW)
    first = batches.order_by("decided_at").values_list("decided_at", "size").first()
    if first is None:
        return None
    later: int = batches.aggregate(total=Sum("size"))["total"] - first[1]
    if later <= 0:
        return None
    elapsed: float = (now - first[0]).total_seconds()
    return round(elapsed / later, 4)

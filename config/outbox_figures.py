"""The outboxes in figures, for Prometheus and for the operator's panel."""

from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone

from config import outbox
from config.cache import remembered
from config.metrics import Figure, Figures, Values
from config.models import Mail

COUNTED_SECONDS = 5.0

MESSAGES = Figure("stampede_outbox_messages", "Mails by outbox and state.", ("outbox", "state"))
OVERDUE = Figure(
    "stampede_outbox_overdue_seconds", "How long the oldest mail of an outbox that is due has been due.", ("outbox",)
)


def by_state(kept: outbox.Outbox) -> dict[str, int]:
    """Also those of which there are none. The sent ones are the whole outbox, so it is counted every few seconds."""

    def counted() -> dict[str, int]:
        rows: Any = outbox.rows_of(kept).order_by().values_list("state").annotate(count=Count("pk"))
        return dict.fromkeys(Mail.State.values, 0) | dict(rows)

    return remembered(f"figures:outbox:{kept.name}", seconds=COUNTED_SECONDS, make=counted)


def overdue(kept: outbox.Outbox, *, now: datetime) -> float:
    """Seconds since when the oldest mail that is due is due; 0 when none is."""
    due = outbox.rows_of(kept).filter(state=Mail.State.PENDING, due_at__lte=now)
    oldest = due.order_by("due_at").values_list("due_at", flat=True).first()
    return (now - oldest).total_seconds() if oldest else 0.0


def of_all(now: datetime) -> dict[str, Any]:
    """Mails by state, of all outboxes together, for they share one account; `overdue_seconds` of the oldest."""
    counted = [by_state(kept) for kept in outbox.kept()]
    sums = {state: sum(states[state] for states in counted) for state in Mail.State.values}
    return {**sums, "overdue_seconds": round(max(overdue(kept, now=now) for kept in outbox.kept()), 1)}


def _read() -> Values:
    now = timezone.now()
    for kept in outbox.kept():
        for state, count in by_state(kept).items():
            yield MESSAGES, (kept.name, state), count
        yield OVERDUE, (kept.name,), overdue(kept, now=now)


FIGURES = (Figures("outbox", (MESSAGES, OVERDUE), _read),)

"""The operator's panel: the line, the releases with their reasons, the caps, the outbox and the chains.

`/ops/data.json` is asked every few seconds, so it reads the board, a handful of rows by index, and a sum and counts
that are remembered for a few seconds. History comes from the release decisions, which record what they were made from.
"""

from datetime import datetime
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.cache import remembered
from config.requests import explain
from ico import board, figures, sales
from ico.models import ChainCursor, ChainReading, LedgerEntry, Release, Sale

HISTORY = 400
DECISIONS = 12
REFRESH_SECONDS = 3
CREDITED_MAX_AGE = 5


@require_safe
@staff_member_required
def panel(request: HttpRequest) -> HttpResponse:
    try:
        sale = sales.current()
    except sales.NoSale:
        return explain(request, 503, "No sale has been set up yet.")
    context = {"sale": sale, "user_name": request.user.get_username(), "refresh_seconds": REFRESH_SECONDS}
    response = HttpResponse(render_to_string("ico/ops.html", context))
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
def data(request: HttpRequest) -> HttpResponse:
    """The figures as JSON; with `?history=1` also the releases so far, for a page that has just been opened."""
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied("Only for staff.")
    try:
        sale = Sale.objects.get(pk=sales.current().pk)
    except sales.NoSale:
        return explain(request, 503, "No sale has been set up yet.")
    now = timezone.now()
    answer = {
        "as_of": now.isoformat(),
        "line": _line(sale),
        "caps": _caps(sale),
        "outbox": _outbox(now),
        "chains": _chains(sale, now),
        "decisions": _decisions(sale),
    }
    if request.GET.get("history"):
        answer["history"] = _history(sale)
    response = JsonResponse(answer)
    response["Cache-Control"] = "private, no-store"
    return response


def _line(sale: Sale) -> dict[str, Any]:
    line = board.current(sale.pk)
    return {
        "status": line.status,
        "served": sale.served,
        "given": sale.last_number,
        "waiting": line.waiting,
        "seconds_per_place": line.seconds_per_place,
        "board_as_of": line.as_of.isoformat(),
    }


def _caps(sale: Sale) -> dict[str, Any]:
    return {
        "currency": sale.currency,
        "total": sale.total_cap_cents,
        "reserved": sale.reserved_cents,
        "credited": _credited(sale),
    }


def _credited(sale: Sale) -> int:
    """The one figure that has to be added up from rows."""

    def added_up() -> int:
        return LedgerEntry.objects.filter(invitation__sale=sale).aggregate(cents=Sum("cents"))["cents"] or 0

    return remembered(f"ops:credited:{sale.pk}", seconds=CREDITED_MAX_AGE, make=added_up)


def _outbox(now: datetime) -> dict[str, Any]:
    return {**figures.mails_by_state(), "overdue_seconds": round(figures.mails_overdue(now), 1)}


def _chains(sale: Sale, now: datetime) -> dict[str, Any]:
    cursors = [
        {
            "chain": cursor.chain,
            "height": cursor.height,
            "behind": max(0, cursor.tip_height - cursor.height),
            "addresses": cursor.next_index,
            "age_seconds": _age(cursor.followed_at, now),
        }
        for cursor in ChainCursor.objects.order_by("chain")
    ]
    reading = ChainReading.objects.filter(chain="ETH").first()
    return {
        "cursors": cursors,
        "load": reading.load if reading else None,
        "load_age_seconds": _age(reading.observed_at, now) if reading else None,
        "load_max_age_seconds": sale.chain_load_max_age_seconds,
        "base_fee_gwei": round(int(reading.base_fee) / 10**9, 2) if reading else None,
        "high": sale.chain_load_high,
        "low": sale.chain_load_low,
        "gate_closed": sale.gate_closed,
    }


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else round((now - at).total_seconds(), 1)


def _decisions(sale: Sale) -> list[dict[str, Any]]:
    return [
        {
            "decided_at": release.decided_at.isoformat(),
            "last_decided_at": release.last_decided_at.isoformat(),
            "repeats": release.repeats,
            "reason": release.reason,
            "text": release.get_reason_display(),
            "size": release.size,
            "served_after": release.served_after,
        }
        for release in sale.releases.order_by("-decided_at", "-pk")[:DECISIONS]
    ]


def _history(sale: Sale) -> list[dict[str, Any]]:
    """The last batches as they were decided, oldest first."""
    batches = sale.releases.filter(reason=Release.Reason.RELEASED).order_by("-decided_at", "-pk")[:HISTORY]
    return [_batch(sale, release) for release in reversed(batches)]


def _batch(sale: Sale, release: Release) -> dict[str, Any]:
    promised = release.size * release.inputs["allowance_cents"]
    return {
        "at": release.decided_at.timestamp(),
        "served": release.served_after,
        "size": release.size,
        "reserved": sale.total_cap_cents - release.inputs["room_cents"] + promised,
        "load": release.inputs["load"],
    }

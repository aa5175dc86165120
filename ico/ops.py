"""The operator's panel: the line, the releases with their reasons, the caps, the outbox, the gauge, the chains and the
alarms. What a node said is in it as JSON, and the page shows it as text.

`/ops/data.json` is asked every few seconds, so it reads the board, a handful of rows by index, and sums and counts
that are remembered for a few seconds. History comes from the release decisions, which record what they were made from.
"""

from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from config import outbox_figures
from config.cache import remembered
from config.requests import explain
from ico import alarms, board, networks, ops_chains, ops_owed, reasons, sales
from ico.chains.load import price_gwei
from ico.models import Chain, ChainCursor, ChainReading, Deposit, LedgerEntry, Release, Sale
from ico.reasons import gwei
from ico.release import gauge_inputs, recorded

HISTORY = 400
DECISIONS = 12
REFRESH_SECONDS = 3
COUNTED_MAX_AGE = 5
GATE = (Release.Reason.CHAIN_BUSY, Release.Reason.GAS_PRICE)


@require_safe
@staff_member_required
def panel(request: HttpRequest) -> HttpResponse:
    try:
        sale = sales.current()
    except sales.NoSale:
        return explain(request, 503, "No sale has been set up yet.")
    context = {
        "sale": sale,
        "user_name": request.user.get_username(),
        "sees_owed": ops_owed.may_see(request),
        "refresh_seconds": REFRESH_SECONDS,
        "simulated": networks.network(Chain.ETH).worth is networks.Worth.SIMULATED,
    }
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
    answer = _answer(sale, timezone.now(), sees_owed=ops_owed.may_see(request))
    if request.GET.get("history"):
        answer["history"] = _history(sale)
    response = JsonResponse(answer)
    response["Cache-Control"] = "private, no-store"
    return response


def _answer(sale: Sale, now: datetime, *, sees_owed: bool) -> dict[str, Any]:
    newest = list(sale.releases.order_by("-decided_at", "-pk")[:DECISIONS])
    reading = ChainReading.objects.filter(chain=Chain.ETH).first()
    cursors = list(ChainCursor.objects.order_by("chain"))
    return {
        "as_of": now.isoformat(),
        "line": _line(sale),
        "caps": _caps(sale),
        "outbox": outbox_figures.of_all(now),
        "gate": _gate(sale, reading, now),
        "chains": ops_chains.rows(cursors, now),
        "alarms": _alarms(cursors, now, sees_owed=sees_owed),
        "decisions": _decisions(newest),
        "hold": _hold(sale, newest, reading, now, trouble=_load_trouble(cursors)),
        "last_batch": _last_batch(sale),
    }


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

    return remembered(f"ops:credited:{sale.pk}", seconds=COUNTED_MAX_AGE, make=added_up)


def _gate(sale: Sale, reading: ChainReading | None, now: datetime) -> dict[str, Any]:
    price = price_gwei(base_fee=int(reading.base_fee), tip=int(reading.tip)) if reading else None
    return {
        "closed": sale.gate_closed,
        "load": reading.load if reading else None,
        "high": sale.chain_load_high,
        "low": sale.chain_load_low,
        "price": price,
        "price_text": None if price is None else gwei(price),
        "price_high": sale.gas_price_high_gwei,
        "price_low": sale.gas_price_low_gwei,
        "age_seconds": ops_chains.age(reading.observed_at, now) if reading else None,
        "max_age_seconds": sale.chain_load_max_age_seconds,
    }


def _alarms(cursors: list[ChainCursor], now: datetime, *, sees_owed: bool) -> list[dict[str, Any]]:
    reorg = f"state__exact={Deposit.State.REVIEW}&review__exact={Deposit.Review.REORG}"
    undone = f"{reverse('admin:ico_deposit_changelist')}?{reorg}"
    pages = {"undone": undone, "owed": reverse("ico:ops_owed") if sees_owed else None}
    return [
        {
            "grave": alarm.grave,
            "text": alarm.text,
            "since": ops_chains.moment(alarm.since),
            "url": pages.get(alarm.about),
        }
        for alarm in alarms.ringing(cursors=cursors, now=now)
    ]


def _decisions(newest: list[Release]) -> list[dict[str, Any]]:
    return [
        {
            "decided_at": release.decided_at.isoformat(),
            "last_decided_at": release.last_decided_at.isoformat(),
            "repeats": release.repeats,
            "reason": release.reason,
            "text": reasons.recorded_why(release),
            "size": release.size,
            "served_after": release.served_after,
        }
        for release in newest
    ]


def _load_trouble(cursors: list[ChainCursor]) -> str:
    return next((cursor.load_trouble for cursor in cursors if cursor.chain == Chain.ETH), "")


def _hold(
    sale: Sale, newest: list[Release], reading: ChainReading | None, now: datetime, *, trouble: str
) -> dict[str, Any] | None:
    """Why nobody is invited, by what is known now (the readings that a hold began with may be long over), since when,
    and why it began. The gate may be held by the load and then by the price: that is one hold."""
    if not newest or newest[0].size:
        return None
    latest = newest[0]
    alike = GATE if latest.reason in GATE else (latest.reason,)
    first = list(takewhile(lambda decision: decision.reason in alike, newest))[-1]
    known = replace(recorded(latest), room_cents=sale.total_cap_cents - sale.reserved_cents)
    return {
        "why": reasons.why(latest.reason, replace(known, **gauge_inputs(sale, reading, now)), trouble=trouble),
        "since": first.decided_at.isoformat(),
        "at_first": reasons.recorded_why(first),
    }


def _last_batch(sale: Sale) -> dict[str, Any] | None:
    batch = sale.releases.filter(reason=Release.Reason.RELEASED).order_by("-decided_at", "-pk").first()
    return None if batch is None else {"at": batch.decided_at.isoformat(), "size": batch.size}


def _history(sale: Sale) -> list[dict[str, Any]]:
    """The last batches, and when the gate closed, as they were decided, oldest first."""
    kinds = (Release.Reason.RELEASED, *GATE)
    decisions = sale.releases.filter(reason__in=kinds).order_by("-decided_at", "-pk")[:HISTORY]
    return [_past(sale, release) for release in reversed(decisions)]


def _past(sale: Sale, release: Release) -> dict[str, Any]:
    inputs = recorded(release)
    return {
        "at": release.decided_at.timestamp(),
        "served": release.served_after,
        "size": release.size,
        "reserved": sale.total_cap_cents - inputs.room_cents + release.size * inputs.allowance_cents,
        "load": inputs.load,
        "high": inputs.load_high,
        "low": inputs.load_low,
        "price": inputs.gas_price_gwei,
        "price_high": inputs.gas_price_high_gwei,
        "price_low": inputs.gas_price_low_gwei,
    }

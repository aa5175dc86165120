"""`/ops/owed/`: the operator's list of what is owed back, page by page, and the whole of it for a spreadsheet.

Each row names a person with mail address and wallet, so being of the staff is not enough: whoever may not view deposits
and invitations in the admin may not here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.requests import explain
from ico import owed, sales
from ico.amounts import in_coins
from ico.models import Chain
from ico.owed import Owed

PAGE = 50
COLUMNS = (
    "seen_at", "settled_at", "chain", "owed_back", "received", "reason", "invitation", "number", "email", "send_to",
    "received_at_address", "txid", "position",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula; some read the wide forms of East Asia as well.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
LARGEST_KEY = 2**63 - 1
NEEDED = ("ico.view_deposit", "ico.view_invitation")


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perms(NEEDED)


def _must_be_allowed(request: HttpRequest) -> None:
    if not may_see(request):
        raise PermissionDenied(
            "What is owed back is for those who may view deposits and invitations. "
            "Your account may not: an administrator can give it both permissions."
        )


@require_safe
@staff_member_required
def page(request: HttpRequest) -> HttpResponse:
    _must_be_allowed(request)
    chain, reason = _filters(request)
    try:
        sale = sales.current()
    except sales.NoSale:
        return explain(request, 503, "No sale has been set up yet.")
    rows = owed.listed(chain=chain, reason=reason, before=_before(request), most=PAGE + 1)
    filters = {name: value for name, value in (("chain", chain), ("reason", reason)) if value}
    context = {
        "sale": sale,
        "user_name": request.user.get_username(),
        "rows": rows[:PAGE],
        "totals": _totals(),
        "chains": Chain.choices,
        "reasons": [(value.value, value.label) for value in owed.REASONS],
        "chain": chain,
        "reason": reason,
        "older": urlencode({**filters, "before": rows[PAGE - 1].deposit_id}) if len(rows) > PAGE else "",
        "first": urlencode(filters) if _before(request) is not None else None,
        "filters": urlencode(filters),
        "as_of": timezone.now(),
    }
    response = HttpResponse(render_to_string("ico/owed.html", context))
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
@staff_member_required
def spreadsheet(request: HttpRequest) -> HttpResponseBase:
    _must_be_allowed(request)
    chain, reason = _filters(request)
    lines = written(owed.every(chain=chain, reason=reason))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = "-".join(filter(None, ("owed-back", chain.lower(), reason, f"{timezone.now():%Y%m%d-%H%M}")))
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


def guarded(cell: object) -> str:
    """The cell as a spreadsheet shows it, and never runs it."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def written(rows: Iterable[Owed]) -> Iterator[str]:
    """The lines of the file, made one by one."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([guarded(cell) for cell in _cells(row)])


class _Line:
    """A file for `csv.writer` that hands each line on instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _cells(row: Owed) -> tuple[object, ...]:
    return (
        row.seen_at.isoformat(), row.settled_at.isoformat() if row.settled_at else "", row.chain, row.owed_coins,
        row.coins, row.reason, row.invitation_id, row.number, row.email, row.wallet, row.address, row.txid,
        row.position,
    )  # fmt: skip


def _totals() -> list[dict[str, object]]:
    return [
        {
            "chain": chain,
            "owed": in_coins(sum(by.values()), chain),
            "parts": [(owed.Review(reason).label, in_coins(amount, chain)) for reason, amount in sorted(by.items())],
        }
        for chain, by in owed.totals().items()
    ]


def _filters(request: HttpRequest) -> tuple[str, str]:
    chain, reason = request.GET.get("chain", ""), request.GET.get("reason", "")
    if chain not in ("", *Chain.values) or reason not in ("", *owed.REASONS):
        raise BadRequest("no such chain or reason")
    return chain, reason


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > LARGEST_KEY:
        raise BadRequest("no such page")
    return int(text)

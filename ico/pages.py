"""How a page of the sale is made: its template, what every page knows, and the headers of a private one.

Pages are rendered without the request: no context processor can then touch a session, so no cookie is read or set.
"""

from datetime import datetime
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone

from ico import networks
from ico.models import Sale


class SeeOther(HttpResponseRedirect):
    status_code = 303


def page(template: str, *, sale: Sale, status: int = 200, **context: Any) -> HttpResponse:
    context |= {"sale": sale, "phase": phase(sale, timezone.now()), "notice": networks.notice()}
    return HttpResponse(render_to_string(f"ico/{template}", context), status=status)


def phase(sale: Sale, now: datetime) -> str:
    if now < sale.opens_at:
        return "before"
    return "open" if now < sale.closes_at else "closed"


def private(response: HttpResponse) -> HttpResponse:
    """Kept by no cache, and its address (which is a key) told to no other site."""
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response

"""How a page of the sale is made: its template, and what every page knows.

Pages are rendered without the request: no context processor can then touch a session, so no cookie is read or set.
"""

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from ico import networks
from ico.models import Sale


def page(template: str, *, sale: Sale, status: int = 200, **context: Any) -> HttpResponse:
    context |= {"sale": sale, "phase": phase(sale, timezone.now()), "notice": networks.notice()}
    return HttpResponse(render_to_string(f"ico/{template}", context), status=status)


def phase(sale: Sale, now: datetime) -> str:
    if now < sale.opens_at:
        return "before"
    return "open" if now < sale.closes_at else "closed"

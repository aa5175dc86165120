"""How the pages of the sale say numbers, money, times and waiting. `static/ico/words.js` says them the same way."""

import re
from datetime import datetime

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

register = template.Library()

_CLAUSE = re.compile(r"\n\s*\n|\n(?=\s*\d+(?:\.\d+)*[.)]\s)")
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@register.filter
def whole(number: int) -> str:
    """12345 -> 12,345"""
    return f"{number:,}"


@register.filter
def money(cents: int, currency: str) -> str:
    """Whole cents -> `5,000 EUR`; the cents are said only when there are any."""
    units, rest = divmod(cents, 100)
    return f"{units:,}.{rest:02d} {currency}" if rest else f"{units:,} {currency}"


@register.filter
def grouped(amount: str) -> str:
    """A decimal string as the API says it -> `5,000`, `4,999.50`."""
    units, _, rest = amount.partition(".")
    return f"{int(units):,}.{rest}" if rest.strip("0") else f"{int(units):,}"


@register.filter
def duration(seconds: float) -> str:
    """Seconds -> `less than a minute`, `about 3 minutes`, `about 2 hours`. Rounded as a person would, never exact."""
    if seconds < 50:
        return "less than a minute"
    for size, unit in _UNITS:
        if seconds >= size * 0.9 or unit == "minute":
            count = max(1, int(seconds / size + 0.5))
            return f"about {count} {unit}" + ("s" if count > 1 else "")
    raise AssertionError("unreachable: minutes take whatever is left")


@register.filter
def span(seconds: int) -> str:
    """A length of time that somebody has set -> `24 hours`, `3 days`, `90 seconds`. Exact, unlike `duration`."""
    for size, unit in _UNITS:
        count, rest = divmod(seconds, size)
        if rest == 0 and count >= (1 if unit == "minute" else 2):
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return f"{seconds} seconds"


@register.filter
def moment(at: datetime) -> SafeString:
    """A `<time>` in UTC, for everybody; the script adds the reader's own time zone."""
    at = localtime(at)
    return format_html('<time datetime="{}">{}</time>', f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at.day} {at:%b %Y, %H:%M} UTC")


@register.filter
def paragraphs(text: str) -> SafeString:
    """A text as people type terms: a new paragraph after an empty line and for each numbered clause."""
    parts = _CLAUSE.split(text.strip())
    return format_html_join("\n", "<p>{}</p>", ((" ".join(part.split()),) for part in parts if part.strip()))

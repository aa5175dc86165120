"""How the shop says when something is."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def day(at: str | datetime) -> SafeString:
    """A moment, also as ISO 8601 -> `<time>21 November 2026</time>`, the day in UTC: the same for everybody."""
    moment = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    return format_html(
        '<time datetime="{}">{} {}</time>', f"{moment:%Y-%m-%dT%H:%M:%SZ}", moment.day, f"{moment:%B %Y}"
    )

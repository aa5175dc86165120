"""How the shop says money."""

from django import template
from django.conf import settings

register = template.Library()

_SIGNS = {"EUR": "€", "GBP": "£", "USD": "$"}


@register.filter
def price(cents: int) -> str:
    """Whole cents of the shop's currency -> `€1,234.50`; one without a sign of its own is named: `1,234.50 SEK`."""
    units, rest = divmod(abs(cents), 100)
    amount = f"{units:,}.{rest:02d}"
    sign = _SIGNS.get(settings.SHOP_CURRENCY)
    said = f"{sign}{amount}" if sign else f"{amount} {settings.SHOP_CURRENCY}"
    return f"-{said}" if cents < 0 else said


@register.simple_tag
def currency() -> str:
    """Its code, for labels of fields."""
    return settings.SHOP_CURRENCY


@register.filter
def amount(cents: int) -> str:
    """Whole cents -> `1234.50`, as machines read it: structured data and number fields."""
    return f"{cents // 100}.{cents % 100:02d}"


@register.filter
def times(cents: int, pieces: int) -> int:
    return cents * pieces


@register.filter
def saved(was_cents: int, price_cents: int) -> int:
    """What a deal saves, in whole percent, never said higher than it is."""
    return (was_cents - price_cents) * 100 // was_cents

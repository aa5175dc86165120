"""How the shop says where."""

from django import template

from shop import countries

register = template.Library()


@register.filter
def country(code: str) -> str:
    """`DE` -> `Germany`; what parcels are no longer sent to is said by its code."""
    return countries.NAMES.get(code, code)

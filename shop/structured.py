"""What search engines read in our pages: schema.org's words as JSON-LD.

It stands in a `<script>` that is data: no browser runs it, so the content security policy has nothing against it.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from shop.catalogue import Card, Choice, Facts, Shelfmark
from shop.templatetags.prices import amount

# Nothing of a product's text may end the script that it stands in.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
Trail = tuple[tuple[str, str], ...]  # name and path, the shop's start first


def absolute(path: str) -> str:
    """As somebody elsewhere has to write it. A picture of a store of its own has a whole address already."""
    return path if "://" in path else f"{settings.PUBLIC_URL}{path}"


def document(*parts: dict[str, Any]) -> SafeString:
    text = json.dumps({"@context": "https://schema.org", "@graph": parts}, ensure_ascii=False)
    return mark_safe(text.translate(_ESCAPES))  # noqa: S308 (what could end the script is escaped)


def site() -> dict[str, Any]:
    target = f"{absolute(reverse('shop:search'))}?q={{text}}"
    return {
        "@type": "WebSite",
        "name": "Stampede shop",
        "url": absolute(reverse("shop:home")),
        "potentialAction": {"@type": "SearchAction", "target": target, "query-input": "required name=text"},
    }


def trail(steps: Trail) -> dict[str, Any]:
    return {
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": place, "name": name, "item": absolute(path)}
            for place, (name, path) in enumerate(steps, start=1)
        ],
    }


def shelf(category: Shelfmark, cards: Iterable[Card]) -> dict[str, Any]:
    return {
        "@type": "ItemList",
        "name": category.name,
        "itemListElement": [
            {"@type": "ListItem", "position": place, "name": card.title, "url": _address(card)}
            for place, card in enumerate(cards, start=1)
        ],
    }


def product(facts: Facts) -> dict[str, Any]:
    return {
        "@type": "Product",
        "name": facts.card.title,
        "description": facts.description,
        "brand": {"@type": "Brand", "name": facts.card.brand},
        "category": facts.category.name,
        "url": _address(facts.card),
        "image": [absolute(image.large) for image in facts.images],
        "offers": [_offer(facts.card, choice) for choice in facts.choices],
    }


def _offer(card: Card, choice: Choice) -> dict[str, Any]:
    return {
        "@type": "Offer",
        "sku": choice.sku,
        "price": amount(choice.price_cents),
        "priceCurrency": settings.SHOP_CURRENCY,
        "availability": f"https://schema.org/{'InStock' if choice.left else 'OutOfStock'}",
        "url": _address(card),
    }


def _address(card: Card) -> str:
    return absolute(reverse("shop:product", args=[card.slug]))

"""What is shown of the catalogue, as values that caches may keep. `catalogue` reads them. No import of Django here."""

from dataclasses import dataclass


class NotThere(LookupError):
    """No such category, product or page of a shelf."""


@dataclass(frozen=True, slots=True)
class Card:
    """A product as shelves, search results and carts show it. Prices in cents; `picture` is a URL, "" for none."""

    id: int
    slug: str
    title: str
    brand: str
    category: str  # slug
    price_cents: int
    was_cents: int | None
    available: bool
    picture: str
    picture_large: str
    alt: str


@dataclass(frozen=True, slots=True)
class Shelfmark:
    """A category, as menus show it."""

    id: int
    slug: str
    name: str
    description: str
    products: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of cards; pages count from 1."""

    cards: tuple[Card, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant as the product page offers it. `left`: pieces that can be bought now, at most `catalogue.MOST_TOLD`."""

    id: int
    sku: str
    size: str
    colour: str
    price_cents: int
    left: int


@dataclass(frozen=True, slots=True)
class Image:
    small: str  # URL, 320 pixels wide
    large: str  # URL, 960 pixels wide
    alt: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a product's page shows."""

    card: Card
    description: str
    attributes: tuple[tuple[str, str], ...]
    category: Shelfmark
    choices: tuple[Choice, ...]
    images: tuple[Image, ...]

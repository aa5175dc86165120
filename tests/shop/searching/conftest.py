"""A shop of a few products whose words are known, and its index."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from shop.models import Category, Product, Variant
from shop.searching import index_folder, indexing

# slug: category, title, brand, description, attributes, cents, pieces sold
PRODUCTS = {
    "runner": ("shoes", "Fast Running Shoes", "Falk", "For long roads.", {"material": "mesh"}, 8_990, 10),
    "sandal": (
        "shoes",
        "Summer Sandals",
        "Falk",
        "Made for running to the beach.",
        {"material": "leather"},
        3_990,
        900,
    ),
    "boot": ("shoes", "Winter Boots", "Nordlicht", "Warm and dry.", {"material": "leather"}, 14_990, 50),
    "lamp": ("lighting", "Desk Lamp Otto", "Lumen", "Bright light for reading.", {"material": "steel"}, 4_990, 5),
    "lamp2": ("lighting", "Floor Lamp Otto", "Lumen", "Bright light for rooms.", {"material": "steel"}, 12_000, 500),
    "cup": ("kitchen", "Café Cup", "Tassen & Co", "Holds a coffee.", {"material": "porcelain"}, 1_290, 70),
}
CATEGORIES = {"shoes": "Shoes", "lighting": "Lighting", "kitchen": "Kitchen"}


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings.DATA_DIR = tmp_path
    index_folder.reader.forget()


@pytest.fixture
def shop(db: None) -> dict[str, Product]:
    shelves = {slug: Category.objects.create(slug=slug, name=name) for slug, name in CATEGORIES.items()}
    return {slug: _product(slug, shelves[values[0]], *values[1:]) for slug, values in PRODUCTS.items()}


def _product(
    slug: str,
    category: Category,
    title: str,
    brand: str,
    description: str,
    attributes: dict[str, str],
    cents: int,
    sold: int,
) -> Product:
    row = Product.objects.create(
        slug=slug,
        category=category,
        title=title,
        brand=brand,
        description=description,
        attributes=attributes,
        price_cents=cents,
        popularity=sold,
        created_at=timezone.now(),
    )
    Variant.objects.create(product=row, sku=slug, size="42", colour="red", price_cents=cents, stock=3)
    return row


@pytest.fixture
def indexed(shop: dict[str, Product]) -> dict[str, Product]:
    indexing.rebuild()
    return shop

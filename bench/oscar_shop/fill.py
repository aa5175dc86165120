"""Fills Oscar with our catalogue: the same categories, products, descriptions, prices, stock and a picture each. Our
variants are left out, which spares Oscar a query for each product. Prints the address of the category that is named.

python -m bench.oscar_shop.fill CATALOGUE CATEGORY, in Oscar's venv; CATALOGUE is what `bench.filled_shop` wrote
"""

import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import django


def main() -> None:
    catalogue = json.loads(Path(sys.argv[1]).read_text())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.oscar_shop.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import transaction
    from oscar.core.loading import get_model

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        fill(catalogue)
    call_command("rebuild_index", interactive=False, verbosity=0)
    print(get_model("catalogue", "Category").objects.get(name=sys.argv[2]).get_absolute_url())


def fill(catalogue: dict[str, Any]) -> None:
    from oscar.apps.catalogue.categories import create_from_breadcrumbs
    from oscar.core.loading import get_model

    Product, ProductImage = get_model("catalogue", "Product"), get_model("catalogue", "ProductImage")
    ProductCategory, StockRecord = get_model("catalogue", "ProductCategory"), get_model("partner", "StockRecord")
    kind = get_model("catalogue", "ProductClass").objects.create(name="Goods", requires_shipping=True, track_stock=True)
    partner = get_model("partner", "Partner").objects.create(name="Stampede")
    shelves = {name: create_from_breadcrumbs(name) for name in catalogue["categories"]}
    rows = catalogue["products"]
    Product.objects.bulk_create(
        Product(
            structure=Product.STANDALONE,
            product_class=kind,
            upc=row["slug"],
            slug=row["slug"],
            title=row["title"],
            description=row["description"],
        )
        for row in rows
    )
    products = {product.upc: product for product in Product.objects.all()}
    ProductCategory.objects.bulk_create(
        ProductCategory(product=products[row["slug"]], category=shelves[row["category"]]) for row in rows
    )
    StockRecord.objects.bulk_create(
        StockRecord(
            product=products[row["slug"]],
            partner=partner,
            partner_sku=row["slug"],
            price=Decimal(row["price_cents"]) / 100,
            num_in_stock=row["stock"],
        )
        for row in rows
    )
    ProductImage.objects.bulk_create(
        ProductImage(product=products[row["slug"]], original=row["picture"], display_order=0) for row in rows
    )


if __name__ == "__main__":
    main()

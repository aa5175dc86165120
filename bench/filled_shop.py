"""Fills a data folder with the shop of N products and their pictures, and prints what it holds as JSON: categories,
and of each product what a page of a category shows. `STAMPEDE_DATA=... python -m bench.filled_shop N`"""

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("seed_shop", products=int(sys.argv[1]), stdout=sys.stderr)
    json.dump(catalogue(), sys.stdout)


def catalogue() -> dict[str, object]:
    from django.db.models import Sum

    from shop.models import Category, Picture, Product

    pictures = dict(Picture.objects.filter(position=0).values_list("product_id", "small"))
    products = Product.objects.select_related("category").annotate(stock=Sum("variants__stock")).order_by("pk")
    return {
        "categories": dict(Category.objects.values_list("name", "slug")),
        "products": [
            {
                "slug": product.slug,
                "title": product.title,
                "description": product.description,
                "category": product.category.name,
                "price_cents": product.price_cents,
                "stock": product.stock,
                "picture": pictures[product.pk],
            }
            for product in products
        ],
    }


if __name__ == "__main__":
    main()

"""What the stage hand does in the shop: opens it, changes its prices, settles its payments. See stage.py."""

from django.core.management import call_command
from django.utils import timezone

from shop import catalogue, payment, settling
from shop.models import Order, Product, Variant


def open_shop(products: str) -> dict[str, str]:
    """A shop of so many products. Returns a product in a few words: slug, title, its department's name and slug."""
    with open("/dev/null", "w") as nowhere:
        call_command("seed_shop", products=int(products), stdout=nowhere)
    shown = Product.objects.select_related("category").order_by("-popularity")[0]
    for variant in shown.variants.all():
        catalogue.set_stock(variant_id=variant.pk, stock=50)
    return {"slug": shown.slug, "title": shown.title, "category": shown.category.slug, "shelf": shown.category.name}


def settle_payments() -> int:
    """Ask the provider for what is due. Returns how many payments that were."""
    claims = settling.claim_due(clock=timezone.now, most=50)
    for claim in claims:
        settling.settle(claim, provider=payment.provider(), clock=timezone.now)
    return len(claims)


def make_dearer(slug: str, cents: str) -> None:
    """Each variant of this product costs so much more."""
    for variant in Variant.objects.filter(product__slug=slug):
        catalogue.set_price(variant_id=variant.pk, price_cents=variant.price_cents + int(cents))


def orders_of(email: str) -> list[str]:
    """The states of this customer's orders, in the order they were placed."""
    return list(Order.objects.filter(email=email).order_by("pk").values_list("state", flat=True))


_ACTS = (open_shop, settle_payments, make_dearer, orders_of)
ACTS = {act.__name__: act for act in _ACTS}

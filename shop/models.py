"""The shop's tables.

Money is whole cents of one currency (`settings.SHOP_CURRENCY`). Each table is written by one module only, named in its
docstring. What shows a row is told of its change by `changes`, in the same transaction.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from config.models import Mail


class Category(models.Model):
    """One shelf. Written by `catalogue`."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name_plural = "categories"
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """What has one page. `price_cents` is the lowest of its variants'. Written by `catalogue`, what was sold by
    `popularity`."""

    slug = models.SlugField(max_length=120, unique=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    title = models.CharField(max_length=120)
    brand = models.CharField(max_length=60)
    description = models.TextField()
    attributes = models.JSONField(default=dict, help_text="Names and values, such as material: wool.")
    price_cents = models.PositiveIntegerField(editable=False)
    was_cents = models.PositiveIntegerField(null=True, help_text="The price before, of a deal.")
    popularity = models.PositiveIntegerField(default=0, help_text="Orders the shelf; pieces sold of late are in it.")
    sold = models.PositiveIntegerField(
        default=0, editable=False, help_text="So many of its popularity are pieces sold."
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(was_cents=None) | Q(was_cents__gt=F("price_cents")), name="product_deal_is_one"
            ),
        ]
        indexes = [
            models.Index(fields=["category", "active", "-popularity", "id"], name="product_shelf"),
            models.Index(fields=["category", "active", "price_cents", "id"], name="product_shelf_by_price"),
            models.Index(fields=["category", "active", "-created_at", "id"], name="product_shelf_by_age"),
            models.Index(fields=["active", "-popularity", "id"], name="product_popular"),
            models.Index(fields=["active", "-created_at", "id"], name="product_newest"),
        ]

    def __str__(self) -> str:
        return self.title


class Variant(models.Model):
    """What can be bought: a product in one size and colour. `stock`: pieces that are here; `reserved`: of them, those
    that a checkout holds. Written by `catalogue` (price, stock) and `stock` (reserved, stock), the counters always by
    one conditional UPDATE."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="variants")
    sku = models.CharField(max_length=40, unique=True)
    size = models.CharField(max_length=20, blank=True)
    colour = models.CharField(max_length=30, blank=True)
    price_cents = models.PositiveIntegerField()
    stock = models.PositiveIntegerField(default=0)
    reserved = models.PositiveIntegerField(default=0, editable=False)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(reserved__lte=F("stock")), name="variant_not_oversold"),
            models.CheckConstraint(condition=Q(price_cents__gt=0), name="variant_has_a_price"),
        ]

    def __str__(self) -> str:
        return self.sku


class Picture(models.Model):
    """A picture of a product in two sizes, kept by Django's default storage. Written by `catalogue`."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="pictures")
    position = models.PositiveSmallIntegerField(default=0)
    small = models.CharField(max_length=120, help_text="Name in the storage; 320 pixels wide.")
    large = models.CharField(max_length=120, help_text="Likewise, 960 pixels wide.")
    alt = models.CharField(max_length=160)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["product", "position"], name="picture_place")]

    def __str__(self) -> str:
        return self.small


class Event(models.Model):
    """An editorial page about some products. Written by `events`."""

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    text = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    members_only = models.BooleanField(default=False, help_text="Shown on the fan club's page and nowhere else.")
    products = models.ManyToManyField(Product, related_name="events")

    class Meta:
        ordering = ["starts_at"]
        constraints = [models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="event_has_a_time")]

    def __str__(self) -> str:
        return self.title


class Announcement(models.Model):
    """One line on top of every catalogue page, for a time. Written by `events`."""

    text = models.CharField(max_length=200)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="announcement_has_a_time")]

    def __str__(self) -> str:
        return self.text


class Change(models.Model):
    """That something changed which pages, objects and the search index show: a tag such as `product:17`, `category:3`,
    `home`. Kept for an hour. Written by `changes`, in the transaction of the change itself."""

    tag = models.CharField(max_length=80)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.tag} {self.at:%H:%M:%S}"


def new_token() -> str:
    return secrets.token_hex(16)


class Cart(models.Model):
    """A visitor's or a customer's cart. A guest is known by a signed cookie that names its token: numbers of rows come
    again where a replica that lacked the last ones was promoted. Written by `cart`."""

    token = models.CharField(max_length=32, unique=True, default=new_token, editable=False)
    customer = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="shop_cart"
    )
    made_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["customer", "used_at"], name="cart_forgotten")]

    def __str__(self) -> str:
        return f"cart {self.pk}"


class CartLine(models.Model):
    """Written by `cart`."""

    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="+")
    quantity = models.PositiveSmallIntegerField()
    seen_cents = models.PositiveIntegerField(help_text="What one cost when it was put here.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cart", "variant"], name="cart_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0, quantity__lte=99), name="cart_line_sane"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant_id}"


class Address(models.Model):
    """Where a customer has parcels sent. Written by `address_book`."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shop_addresses")
    name = models.CharField(max_length=120)
    street = models.CharField(max_length=160)
    postcode = models.CharField(max_length=16)
    city = models.CharField(max_length=80)
    country = models.CharField(max_length=2)
    preferred = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "addresses"

    def __str__(self) -> str:
        return f"{self.name}, {self.city}"


class Order(models.Model):
    """What was ordered, at the prices and to the address of that moment. `key` is the checkout form's: one order per
    key, however often it is sent. Written by `orders`."""

    class State(models.TextChoices):
        RESERVED = "reserved", "waiting for the payment"
        PAID = "paid", "paid"
        REFUSED = "refused", "payment refused"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "not paid in time"

    number = models.CharField(max_length=20, unique=True)
    key = models.CharField(max_length=64, unique=True)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="shop_orders")
    state = models.CharField(max_length=9, choices=State.choices, default=State.RESERVED, editable=False)
    total_cents = models.PositiveBigIntegerField()
    email = models.EmailField(max_length=254)
    address = models.JSONField(help_text="As it was: name, street, postcode, city, country.")
    placed_at = models.DateTimeField()
    reserved_until = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, db_index=True)
    card = models.CharField(max_length=20, help_text="The provider's word for what it is paid with, never a number.")
    payment_attempts = models.PositiveSmallIntegerField(default=0, help_text="How often the customer asked to pay.")
    payment_due_at = models.DateTimeField(null=True, help_text="When the provider is asked next; null: nothing is due.")
    payment_asked_at = models.DateTimeField(null=True, help_text="When it was first asked of this; null: not yet.")
    payment_reference = models.CharField(max_length=80, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["customer", "-placed_at"], name="order_history"),
            models.Index(fields=["state", "reserved_until"], name="order_due"),
            models.Index(fields=["payment_due_at"], name="order_payment_due"),
        ]

    def __str__(self) -> str:
        return f"{self.number} ({self.state})"


class OrderLine(models.Model):
    """Written by `orders`, once."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(max_length=200)
    sku = models.CharField(max_length=40)
    unit_cents = models.PositiveIntegerField()
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity__gt=0), name="order_line_sane")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"


class Charge(models.Model):
    """The dummy payment provider's own books, which nobody but it reads or writes: what was charged under a key, once.
    Written by `payment`."""

    class State(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        REFUSED = "refused", "refused"
        UNDONE = "undone", "given back, or never to be taken"

    key = models.CharField(max_length=40, unique=True)
    amount_cents = models.PositiveBigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key} ({self.state})"


class Sighting(models.Model):
    """A product that a customer looked at. Written by `recommendations`."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shop_sightings")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "product"], name="sighting_once")]
        indexes = [models.Index(fields=["customer", "-seen_at"], name="sighting_newest")]

    def __str__(self) -> str:
        return f"{self.customer_id} saw {self.product_id}"


class BoughtTogether(models.Model):
    """How often two products were in one order, counted in the background. Written by `together`."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="bought_with")
    other = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    orders = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product", "other"], name="together_once")]
        indexes = [models.Index(fields=["product", "-orders"], name="together_best")]

    def __str__(self) -> str:
        return f"{self.product_id} with {self.other_id}: {self.orders}"


class OrderMail(Mail):
    """A mail about an order. Written by `config.outbox`."""

    class Kind(models.TextChoices):
        PLACED = "placed", "your order"
        PAID = "paid", "your payment"
        CANCELLED = "cancelled", "your cancellation"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="mails")

    class Meta:
        verbose_name = "mail"
        indexes = [models.Index(fields=["state", "due_at"], name="order_mail_due")]

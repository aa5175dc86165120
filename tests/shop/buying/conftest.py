"""A few things to buy, and somebody who buys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from shop.models import Address, Category, Product, Variant

HEADERS = {"accept": "text/html,application/xhtml+xml", "sec-fetch-site": "same-origin"}


Left = Callable[[Variant], tuple[int, int]]


def thing(slug: str = "lamp", *, cents: int = 1_250, stock: int = 10, sizes: tuple[str, ...] = ("",)) -> Variant:
    """A product with a variant a size. Returns the first."""
    shelf, _ = Category.objects.get_or_create(slug="house", defaults={"name": "House"})
    product = Product.objects.create(
        slug=slug, category=shelf, title=slug.title(), brand="Ulm", description="", price_cents=cents
    )
    made = [
        Variant.objects.create(product=product, sku=f"{slug}-{size}", size=size, price_cents=cents, stock=stock)
        for size in sizes
    ]
    return made[0]


def person(name: str = "ann") -> User:
    address = f"{name}@example.org"  # no password: hashing one takes a third of a second
    user = User.objects.create(username=address, email=address, password="!")
    Address.objects.create(
        customer=user, name=name.title(), street="High Street 1", postcode="10115", city="Berlin", country="DE"
    )
    return user


@pytest.fixture
def lamp(db: None) -> Variant:
    return thing()


@pytest.fixture
def ann(db: None) -> User:
    return person()


@pytest.fixture
def browser(db: None) -> Client:
    return Client(headers=HEADERS)


@pytest.fixture
def anns(ann: User, browser: Client) -> Client:
    browser.force_login(ann)
    return browser


@pytest.fixture
def left() -> Left:
    """Stock and reserved, as the table has them."""

    def read(variant: Variant) -> tuple[int, int]:
        return Variant.objects.values_list("stock", "reserved").get(pk=variant.pk)

    return read

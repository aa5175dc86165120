"""Two tabs of one customer, two signups with one address."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User

from shop import address_book, customers
from shop.models import Address
from tests.concurrency.rivals import first, together, two_writers

pytestmark = pytest.mark.django_db(transaction=True)
TO = address_book.Destination("Ada Quick", "Long Lane 7", "10115", "Berlin", "DE")


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada@example.org")


def no_lock(customer: User) -> None:
    return None


@two_writers
@pytest.mark.parametrize(("place", "guarded"), [("_lock", True), ("asdict", False)])
def test_a_book_of_one_takes_one(ada: User, monkeypatch: pytest.MonkeyPatch, place: str, guarded: bool) -> None:
    """Overtaken before the lock, the second tab counts what the first one added. Without the lock, the negative
    control, it may be overtaken after it has counted, and the book holds more than the most."""
    monkeypatch.setattr(address_book, "MOST", 1)
    rival: Any = partial(address_book.add, customer=ada, to=TO)
    if not guarded:
        monkeypatch.setattr(address_book, "_lock", no_lock)
    monkeypatch.setattr(address_book, place, first(rival, getattr(address_book, place)))
    if guarded:
        with pytest.raises(address_book.TooMany):
            address_book.add(customer=ada, to=TO)
    else:
        address_book.add(customer=ada, to=TO)
    assert Address.objects.count() == (1 if guarded else 2)


def test_of_many_tabs_at_once_none_fails_and_one_address_is_preferred(ada: User) -> None:
    add = partial(address_book.add, customer=ada, to=TO, preferred=True)
    assert together(*[add] * 8) == []
    assert Address.objects.count() == 8
    assert Address.objects.filter(preferred=True).count() == 1


def test_of_many_signups_with_one_address_one_makes_the_account(settings: Any, now: datetime) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    spellings = ["ada@example.org", "Ada@Example.org", " ADA@example.org "] * 2
    tries = [partial(customers.sign_up, email=email, password="three green boats", now=now) for email in spellings]
    refused = together(*tries)
    assert [type(each) for each in refused] == [customers.AlreadyKnown] * 5
    assert User.objects.count() == 1

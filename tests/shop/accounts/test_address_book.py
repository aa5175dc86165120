"""A customer's addresses: whole ones only, one preferred, nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from shop import address_book
from shop.models import Address
from tests.shop.accounts.conftest import TYPED, customer_of

pytestmark = pytest.mark.django_db


def add(customer: User, **fields: Any) -> Address:
    preferred = fields.pop("preferred", False)
    return address_book.add(customer=customer, to=address_book.destination({**TYPED, **fields}), preferred=preferred)


def preferred(customer: User) -> list[str]:
    return [address.street for address in address_book.of(customer) if address.preferred]


def test_what_is_typed_is_tidied() -> None:
    to = address_book.destination({**TYPED, "name": "  Ada \t Quick ", "city": "Mu\u0308nchen"})
    assert (to.name, to.city) == ("Ada Quick", "M\u00fcnchen")


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("name", ""),
        ("name", "—"),
        ("street", "x" * 161),
        ("street", "Lane\u202e 7"),
        ("postcode", "10115; DROP"),
        ("postcode", "1"),
        ("city", "\x00Berlin"),
        ("country", "XX"),
        ("country", ""),
    ],
)
def test_a_field_that_no_label_can_bear_is_named(field: str, typed: str) -> None:
    with pytest.raises(address_book.BadAddress) as refused:
        address_book.destination({**TYPED, field: typed})
    assert set(refused.value.wrong) == {field}


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(address_book.BadAddress) as refused:
        address_book.destination({})
    assert set(refused.value.wrong) == set(TYPED)


def test_one_is_preferred_whatever_happens(customer: User) -> None:
    first = add(customer, street="First 1")
    assert preferred(customer) == ["First 1"]
    second = add(customer, street="Second 2")
    assert preferred(customer) == ["First 1"]
    third = add(customer, street="Third 3", preferred=True)
    assert preferred(customer) == ["Third 3"]
    address_book.prefer(customer=customer, address=second.pk)
    assert preferred(customer) == ["Second 2"]
    address_book.delete(customer=customer, address=second.pk)
    assert preferred(customer) == ["First 1"]
    address_book.delete(customer=customer, address=third.pk)
    assert preferred(customer) == ["First 1"]
    address_book.delete(customer=customer, address=first.pk)
    assert address_book.of(customer) == ()


def test_a_change_keeps_the_preference(customer: User) -> None:
    held = add(customer)
    address_book.change(customer=customer, address=held.pk, to=address_book.destination({**TYPED, "city": "Bonn"}))
    (changed,) = address_book.of(customer)
    assert (changed.city, changed.preferred) == ("Bonn", True)


def test_a_book_has_an_end(customer: User) -> None:
    for number in range(address_book.MOST):
        add(customer, street=f"Lane {number}")
    with pytest.raises(address_book.TooMany):
        add(customer)
    assert len(address_book.of(customer)) == address_book.MOST


def test_nobody_reads_or_writes_anothers(customer: User) -> None:
    hers, eve = add(customer), customer_of("eve@example.org")
    mine = add(eve, street="Other Lane 9")
    to = address_book.destination({**TYPED, "city": "Elsewhere"})
    for step in (
        lambda: address_book.one(customer=eve, address=hers.pk),
        lambda: address_book.change(customer=eve, address=hers.pk, to=to),
        lambda: address_book.prefer(customer=eve, address=hers.pk),
        lambda: address_book.delete(customer=eve, address=hers.pk),
    ):
        with pytest.raises(address_book.NotYours):
            step()
    assert list(Address.objects.order_by("pk").values_list("pk", "city", "preferred")) == [
        (hers.pk, "Berlin", True),
        (mine.pk, "Berlin", True),
    ]

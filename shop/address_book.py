"""A customer's addresses. One of them is preferred as soon as there is any; nobody reads or writes another's."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.contrib.auth.models import User
from django.db.models import Case, Q, QuerySet, Value, When

from config import transactions
from shop import countries
from shop.models import Address

MOST = 20
_LONGEST = {"name": 120, "street": 160, "postcode": 16, "city": 80}
_MISSING = {
    "name": "Please enter who lives there.",
    "street": "Please enter street and number.",
    "postcode": "Please enter the postcode.",
    "city": "Please enter the town.",
}
_POSTCODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{1,14}")


class BadAddress(ValueError):
    """Some fields cannot be taken; `wrong` says why, by field."""

    def __init__(self, wrong: Mapping[str, str]) -> None:
        super().__init__(", ".join(wrong))
        self.wrong = dict(wrong)


class NotYours(LookupError):
    """The customer has no such address; whether another one has is not told."""


class TooMany(ValueError):
    """The book is full."""


@dataclass(frozen=True, slots=True)
class Destination:
    """An address whose fields are all right. `country`: ISO 3166-1, two letters."""

    name: str
    street: str
    postcode: str
    city: str
    country: str


def destination(fields: Mapping[str, str]) -> Destination:
    """What was typed, in order. Raises `BadAddress` with all that is wrong at once."""
    tidy = {field: _tidy(fields.get(field, "")) for field in (*_LONGEST, "country")}
    wrong = {field: fault for field, text in tidy.items() if (fault := _fault(field, text))}
    if wrong:
        raise BadAddress(wrong)
    return Destination(**tidy)


def of(customer: User) -> tuple[Address, ...]:
    """The preferred one first, then as they were added."""
    return tuple(_of(customer).order_by("-preferred", "pk"))


def one(*, customer: User, address: int) -> Address:
    """Raises `NotYours`."""
    found = _of(customer).filter(pk=address).first()
    if found is None:
        raise NotYours
    return found


@transactions.retried
def add(*, customer: User, to: Destination, preferred: bool = False) -> Address:
    """The first one is preferred in any case. Raises `TooMany`."""
    _lock(customer)
    held = _of(customer).count()
    if held >= MOST:
        raise TooMany(f"You have {MOST} addresses already. Please delete one first.")
    added = Address.objects.create(customer=customer, **asdict(to))
    if preferred or not held:
        _prefer(customer, added.pk)
    return one(customer=customer, address=added.pk)


@transactions.retried
def change(*, customer: User, address: int, to: Destination) -> None:
    """Orders keep the address that they were sent to. Raises `NotYours`."""
    one(customer=customer, address=address)
    _of(customer).filter(pk=address).update(**asdict(to))


@transactions.retried
def prefer(*, customer: User, address: int) -> None:
    """Raises `NotYours`."""
    _lock(customer)
    one(customer=customer, address=address)
    _prefer(customer, address)


@transactions.retried
def delete(*, customer: User, address: int) -> None:
    """The oldest of the others takes the place of a preferred one. Raises `NotYours`."""
    _lock(customer)
    gone = one(customer=customer, address=address)
    gone.delete()
    heir = _of(customer).order_by("pk").first()
    if gone.preferred and heir is not None:
        _prefer(customer, heir.pk)


def _of(customer: User) -> QuerySet[Address]:
    return Address.objects.filter(customer=customer)


def _lock(customer: User) -> None:
    """Two tabs take turns, so that one address is preferred, and the most are the most."""
    User.objects.select_for_update().get(pk=customer.pk)


def _prefer(customer: User, address: int) -> None:
    is_it = Case(When(Q(pk=address), then=Value(True)), default=Value(False))
    _of(customer).update(preferred=is_it)


def _tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _fault(field: str, text: str) -> str:
    if field == "country":
        return "" if text in countries.NAMES else "Please choose one of the countries we send to."
    if not text:
        return _MISSING[field]
    if len(text) > _LONGEST[field]:
        return f"Please use {_LONGEST[field]} characters at most."
    if not text.isprintable() or not any(character.isalnum() for character in text):
        return "This contains characters that no label can bear, or no letter at all."
    if field == "postcode" and not _POSTCODE.fullmatch(text):
        return "A postcode has letters, digits, spaces and hyphens only."
    return ""

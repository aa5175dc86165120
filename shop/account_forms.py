"""The forms of a customer's own pages: their fields, and what was typed into them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.http import QueryDict

from config.forms import BadField, shown_again, single
from shop import address_book
from shop.address_book import BadAddress, Destination
from shop.models import Address


@dataclass(frozen=True, slots=True)
class Field:
    """One input as its template draws it. `kind`: the input's type; a password that was typed is never shown again."""

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"
    longest: int = 128
    missing: str = "Please fill this in."
    hint: str = ""
    value: str = ""
    error: str = ""


EMAIL = Field("email", "Email address", "email", "username", 254, "Please enter your email address.")
PASSWORD = Field("password", "Password", "password", "current-password", missing="Please enter your password.")
NEW_PASSWORD = replace(
    PASSWORD,
    autocomplete="new-password",
    missing="Please choose a password.",
    hint="At least ten characters. A few words in a row are easy to keep and hard to guess.",
)

LOGIN = (EMAIL, PASSWORD)
SIGNUP = (EMAIL, NEW_PASSWORD)
CHANGE = (
    replace(PASSWORD, name="old", label="The password you have"),
    replace(NEW_PASSWORD, name="new", label="The new one"),
)
ADDRESS = (
    Field("name", "Name", autocomplete="name", longest=120),
    Field("street", "Street and number", autocomplete="street-address", longest=160),
    Field("postcode", "Postcode", autocomplete="postal-code", longest=16),
    Field("city", "Town", autocomplete="address-level2", longest=80),
)


def typed(fields: Iterable[Field], data: QueryDict) -> tuple[Field, ...]:
    """The fields with what was sent, each with its fault if it is missing, sent twice or no text."""
    return tuple(_typed(field, data) for field in fields)


def _typed(field: Field, data: QueryDict) -> Field:
    try:
        single(data, field.name, missing=field.missing)
    except BadField as fault:
        field = replace(field, error=str(fault))
    return field if field.kind == "password" else replace(field, value=shown_again(data, field.name))


def blamed(fields: Iterable[Field], wrong: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields, with what is wrong with them by name."""
    return tuple(replace(field, error=wrong.get(field.name, field.error)) for field in fields)


def destination(data: QueryDict) -> Destination:
    """What an address form says. Raises `BadAddress` with all that is wrong at once."""
    wrong = {field.name: field.error for field in typed(ADDRESS, data) if field.error}
    try:
        to = address_book.destination({name: str(data.get(name, "")) for name in data})
    except BadAddress as fault:
        raise BadAddress({**wrong, **fault.wrong}) from None
    if wrong:
        raise BadAddress(wrong)
    return to


def filled(fields: Iterable[Field], address: Address) -> tuple[Field, ...]:
    return tuple(replace(field, value=getattr(address, field.name)) for field in fields)


def are_whole(fields: Iterable[Field]) -> bool:
    return not any(field.error for field in fields)

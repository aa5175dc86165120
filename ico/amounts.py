"""Amounts on a chain: whole satoshi or wei, kept exactly and written exactly.

SQLite knows no decimals: Django stores a DecimalField there as a 64-bit integer or, above that, as a double, and reads
both back rounded to 15 digits. 0.123456789012345678 ETH would come back as 0.123456789012346. Hence text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.forms import Field as FormField
from django.forms import IntegerField

DIGITS = 40  # all ether that exists is 27 digits of wei
PLACES = {"BTC": 8, "ETH": 18}

if TYPE_CHECKING:
    _IntegerColumn = models.Field[int, int]
else:
    _IntegerColumn = models.Field


class AmountField(_IntegerColumn):
    """A whole number from 0 to 10**40 - 1, the same on every database. Kept as decimal text padded with zeros, so that
    the database compares and sorts rightly; it cannot add them up: sum in Python."""

    description = "Whole satoshi or wei"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = DIGITS
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, args, kwargs

    def get_internal_type(self) -> str:
        return "CharField"

    def from_db_value(self, value: str | None, expression: object, connection: object) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise ValidationError("An amount is a whole number of satoshi or wei.", code="invalid")

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        if prepared is None or hasattr(prepared, "resolve_expression"):
            return prepared
        amount = self.to_python(prepared)
        if amount is None or not 0 <= amount < 10**DIGITS:
            raise ValueError(f"{amount} is not an amount: 0 to 10**{DIGITS} - 1")
        return f"{amount:0{DIGITS}d}"

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))

    def formfield(self, *args: Any, **kwargs: Any) -> FormField | None:
        kwargs.pop("max_length", None)
        return super().formfield(*args, **{"form_class": IntegerField, "min_value": 0, **kwargs})


def in_coins(amount: int, chain: str) -> str:
    """The amount in whole coins as an exact decimal string without exponent: 50_000_000 satoshi is "0.5"."""
    places = PLACES[chain]
    whole, part = divmod(amount, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")

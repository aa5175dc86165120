"""Reading a field of a form that a stranger sent."""

from django.http import QueryDict

SHOWN_AGAIN = 254


class BadField(ValueError):
    """The field is missing or was sent twice; the message is for the person who filled it in."""


def single(data: QueryDict, name: str, *, missing: str) -> str:
    """The one value of this field. Raises `BadField`: of two values neither is what was meant."""
    values = data.getlist(name)
    if len(values) > 1:
        raise BadField("This field was sent more than once. Please send it once.")
    if not values or not values[0].strip():
        raise BadField(missing)
    if "\ufffd" in values[0]:  # what Django puts where the bytes were no text
        raise BadField("This contains characters that could not be read. Please type it again.")
    return values[0]


def shown_again(data: QueryDict, name: str) -> str:
    """What was typed, for the form that comes back: no control characters, and not the whole of a huge text."""
    typed = data.get(name) or ""
    return "".join(character for character in typed[:SHOWN_AGAIN] if character.isprintable())

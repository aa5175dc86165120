"""The ticket: what a person in line holds. It names the place and is signed, so that asking for the position needs no
look-up to know that the question is honest.

A ticket is `<kind><sale>.<entrant>.<signature>`. Kind `h` (holder) is given at the first signup with an email and may
leave the line; kind `v` (viewer) is given to whoever signs up with the same email again, and may only look: knowing
somebody's address must not be enough to give up their place.
"""

from dataclasses import dataclass
from enum import Enum

from django.core import signing

_signer = signing.Signer(salt="ico.ticket", sep=".")


class UnknownTicket(Exception):
    """The ticket is forged, damaged, or names nobody."""


class Kind(Enum):
    HOLDER = "h"
    VIEWER = "v"


@dataclass(frozen=True, slots=True)
class Ticket:
    kind: Kind
    sale_id: int
    entrant_id: int

    @property
    def person(self) -> str:
        """Who holds it, for `config.database`: whoever has a ticket of this place."""
        return person(self.entrant_id)

    def __str__(self) -> str:
        return _signer.sign(f"{self.kind.value}{self.sale_id}.{self.entrant_id}")


def person(entrant_id: int) -> str:
    return f"entrant:{entrant_id}"


def read(text: str) -> Ticket:
    """The ticket behind its text. Raises `UnknownTicket`."""
    try:
        content = _signer.unsign(text)
        sale_id, entrant_id = content[1:].split(".")
        return Ticket(Kind(content[0]), int(sale_id), int(entrant_id))
    except (signing.BadSignature, ValueError, IndexError):
        raise UnknownTicket("this ticket was not given by us") from None

"""The line: signing up, numbers, positions, leaving.

Numbers are dense and in the order in which places were taken. A database sequence is not used as the number: it has
gaps, and it is given before the commit. The numberer gives numbers to committed rows only, a batch at a time: it locks
the places and then, for a short time, the sale's row.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from django.db import IntegrityError
from django.db.models import Case, F, IntegerField, Value, When

from config import database, emails, transactions
from ico import board, locks, outbox, sales, tickets
from ico.invitations import decline
from ico.models import Entrant, OutboxMessage, Sale
from ico.tickets import Kind, Ticket, UnknownTicket

logger = logging.getLogger(__name__)

BATCH = 500
_REMEMBERED = 200_000
_TRIES = 3


class LineClosed(Exception):
    """The sale has ended; nobody is taken into the line any more."""


class NotTheHolder(Exception):
    """This ticket may look at the place but not give it up."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a signup is answered with. `number` is None until the numberer has been there (normally under 1 s)."""

    ticket: str
    number: int | None
    entrant_id: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where somebody stands, as of the board it was computed from (`as_of`)."""

    state: str
    number: int | None
    position: int | None
    ahead: int | None
    waiting: int
    estimated_wait_seconds: int | None
    poll_after_seconds: float
    as_of: datetime


def join(*, email: str, client_address: str | None, now: datetime) -> Place:
    """Take a place for this address, or find the one it has. When this returns, the place is committed.

    Raises `InvalidEmail`, `LineClosed`, `NoSale`.
    """
    address = emails.normalised(email)
    sale = sales.current()
    if now >= sale.closes_at:
        raise LineClosed("The sale has ended; the line is closed.")
    for _ in range(_TRIES):
        try:
            entrant = _take(sale, address, client_address, now)
        except IntegrityError as error:
            first = Entrant.objects.only("pk").filter(sale=sale, email_digest=emails.digest(address)).first()
            if first is not None:
                return Place(str(Ticket(Kind.VIEWER, sale.pk, first.pk)), None, first.pk)
            refused = error  # whoever was first has just left, and the place is free; or something else is wrong
        else:
            database.wrote(Ticket(Kind.HOLDER, sale.pk, entrant.pk).person)
            logger.info("place %d was taken", entrant.pk)
            return Place(str(Ticket(Kind.HOLDER, sale.pk, entrant.pk)), None, entrant.pk)
    raise refused


@transactions.retried
def _take(sale: Sale, address: str, client_address: str | None, now: datetime) -> Entrant:
    """The insert decides who was first, so nobody has to look before."""
    entrant = Entrant.objects.create(
        sale=sale,
        email=address,
        email_digest=emails.digest(address),
        signed_up_at=now,
        client_address=client_address,
    )
    outbox.put(kind=OutboxMessage.Kind.PLACE, entrants=[entrant], now=now)
    return entrant


def give_numbers(*, sale_id: int, limit: int = BATCH) -> int:
    """Number up to `limit` of the places that have none, in the order they were taken. Returns how many; those that a
    rival is numbering at the same moment are left to it."""
    given = _number(sale_id, limit)
    if given:
        board.publish(sale_id)
    return given


@transactions.retried
def _number(sale_id: int, limit: int) -> int:
    unnumbered = Entrant.objects.filter(sale_id=sale_id, number=None).order_by("pk").values_list("pk", flat=True)
    new = locks.entrants(list(unnumbered[:limit]), number=None)
    if not new:
        return 0
    sale = locks.sale(sale_id)
    numbers = [When(pk=place.pk, then=Value(sale.last_number + step)) for step, place in enumerate(new, start=1)]
    keys = [place.pk for place in new]
    Entrant.objects.filter(pk__in=keys).update(number=Case(*numbers, output_field=IntegerField()))
    Sale.objects.filter(pk=sale_id).update(last_number=F("last_number") + len(new))
    return len(new)


def look_up(text: str) -> Position:
    """Where the holder of this ticket stands. In steady state no query: the number never changes, so the process
    remembers it, and the rest is arithmetic on the board. Raises `UnknownTicket`."""
    ticket = tickets.read(text)
    database.reading_as(ticket.person)
    number = _number_of(ticket.entrant_id)
    line = board.current(ticket.sale_id)
    if number is None or number > line.last_number:  # given, and not on the board for another moment
        return _unnumbered(ticket, line)
    if number <= line.served:
        return _outside(_visible(_released(_state_of(ticket)), ticket.kind), number, line)
    ahead = line.ahead_of(number)
    if ahead is None:
        return _outside(Entrant.State.LEFT, number, line)
    return Position(
        state="waiting",
        number=number,
        position=ahead + 1,
        ahead=ahead,
        waiting=line.waiting,
        estimated_wait_seconds=line.estimated_wait(ahead + 1),
        poll_after_seconds=line.poll_after(ahead),
        as_of=line.as_of,
    )


def leave(text: str) -> None:
    """Give the place up; those behind move up. An invitation that was not yet used to the end gives its allowance
    back. Leaving twice is leaving once. Raises `UnknownTicket`, `NotTheHolder`, `AlreadyJoined`."""
    ticket = tickets.read(text)
    if ticket.kind is not Kind.HOLDER:
        raise NotTheHolder("Only the ticket from the first signup (it is in your mail) can leave the line.")
    if _give_up(ticket):
        database.wrote(ticket.person)
        board.publish(ticket.sale_id)


@transactions.retried
def _give_up(ticket: Ticket) -> bool:
    """False if the place was given up before."""
    places = locks.entrants([ticket.entrant_id])
    if not places:
        raise UnknownTicket("this place does not exist any more")
    if places[0].state in (Entrant.State.LEFT, Entrant.State.EXPIRED):
        return False
    if places[0].state != Entrant.State.WAITING:
        decline(entrant_id=ticket.entrant_id)
    Entrant.objects.filter(pk=ticket.entrant_id).update(state=Entrant.State.LEFT, email_digest=None)
    return True


# Numbers never change, so remembering one can never be wrong; the oldest go when there are too many.
_numbers: OrderedDict[int, int] = OrderedDict()
_numbers_lock = Lock()


def forget() -> None:
    """Drop the remembered numbers (another database, as between tests)."""
    with _numbers_lock:
        _numbers.clear()
    sales.forget()


def _number_of(entrant_id: int) -> int | None:
    known = _numbers.get(entrant_id)
    if known is not None:
        return known
    try:
        number = database.surely(lambda: Entrant.objects.values_list("number", flat=True).get(pk=entrant_id))
    except Entrant.DoesNotExist:
        raise UnknownTicket("this place does not exist any more") from None
    if number is not None:
        with _numbers_lock:
            _numbers[entrant_id] = number
            if len(_numbers) > _REMEMBERED:
                _numbers.popitem(last=False)
    return number


def _state_of(ticket: Ticket) -> str:
    try:
        return database.surely(lambda: Entrant.objects.values_list("state", flat=True).get(pk=ticket.entrant_id))
    except Entrant.DoesNotExist:
        raise UnknownTicket("this place does not exist any more") from None


def _released(state: str) -> str:
    """The board may be ahead of the replica that was asked: then it was this place's turn a moment ago."""
    return Entrant.State.INVITED.value if state == Entrant.State.WAITING else state


def _visible(state: str, kind: Kind) -> str:
    """A viewer learns no more about a released place than the public board tells: that it was its turn."""
    return state if kind is Kind.HOLDER else Entrant.State.INVITED.value


def _unnumbered(ticket: Ticket, line: board.Board) -> Position:
    if _state_of(ticket) != Entrant.State.WAITING:
        return _outside(Entrant.State.LEFT, None, line)
    return replace(_outside("placing", None, line), poll_after_seconds=board.PLACING_POLL_SECONDS)


def _outside(state: str, number: int | None, line: board.Board) -> Position:
    """The answer for somebody who has no position: not yet, or not any more."""
    return Position(
        state=state,
        number=number,
        position=None,
        ahead=None,
        waiting=line.waiting,
        estimated_wait_seconds=None,
        poll_after_seconds=line.poll_after(None),
        as_of=line.as_of,
    )

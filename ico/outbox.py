"""The sale's mails as rows: `config.outbox` relays them and `config.delivery` sends them."""

from collections.abc import Iterable
from datetime import datetime

from config import outbox
from ico import mail
from ico.models import Entrant, OutboxMessage

OUTBOX = outbox.Outbox(
    name="sale",
    rows=OutboxMessage,
    about="entrant",
    compose=mail.compose,
    beside=("entrant__sale", "entrant__invitation"),
)


def put(*, kind: OutboxMessage.Kind, entrants: Iterable[Entrant], now: datetime) -> None:
    """Write one mail for each into the caller's transaction. A second one of the same kind for the same person is a bug
    and raises `IntegrityError`."""
    outbox.put(OUTBOX, kind=kind.value, about=entrants, now=now)

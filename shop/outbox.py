"""Mails about orders as rows: `config.outbox` relays them and `config.delivery` sends them."""

from datetime import datetime

from config import outbox
from shop import mail
from shop.models import Order, OrderMail

OUTBOX = outbox.Outbox(name="orders", rows=OrderMail, about="order", compose=mail.compose, beside=("order",))


def put(*, kind: OrderMail.Kind, order: Order, now: datetime) -> None:
    """Write one mail into the caller's transaction. A second one of the same kind about the same order is a bug and
    raises `IntegrityError`."""
    outbox.put(OUTBOX, kind=kind.value, about=[order], now=now)

"""What mails about orders say. A mail may wait for an hour; what it says is true when it leaves."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from config import mail
from shop.models import Order, OrderMail


def compose(row: OrderMail, *, message_id: str) -> EmailMultiAlternatives:
    """The mail of this row, in text and HTML."""
    order = row.order
    context = {
        "order": order,
        "lines": order.lines.order_by("pk"),
        "expired": order.state == Order.State.EXPIRED,
        "cancelled": order.state == Order.State.CANCELLED,
        "paid": order.state == Order.State.PAID,
        "link": settings.PUBLIC_URL + reverse("shop:order", args=[order.number]),
    }
    kind = OrderMail.Kind(row.kind)
    return mail.written(f"shop/mail/{kind.value}", to=order.email, message_id=message_id, context=context)

"""What the sale's mails say."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from config import mail
from ico import invitations
from ico.models import Entrant, OutboxMessage
from ico.tickets import Kind, Ticket


def compose(row: OutboxMessage, *, message_id: str) -> EmailMultiAlternatives:
    """The mail of this row, in text and HTML."""
    kind = OutboxMessage.Kind(row.kind)
    entrant = row.entrant
    context = {"entrant": entrant, "sale": entrant.sale, **_LINKS[kind](entrant)}
    return mail.written(f"ico/mail/{kind.value}", to=entrant.email, message_id=message_id, context=context)


def _place_link(entrant: Entrant) -> dict[str, object]:
    ticket = str(Ticket(Kind.HOLDER, entrant.sale_id, entrant.pk))
    return {"link": settings.PUBLIC_URL + reverse("ico:line", args=[ticket])}


def _invitation_link(entrant: Entrant) -> dict[str, object]:
    invitation = entrant.invitation
    token = invitations.token_of(invitation.nonce)
    return {"link": settings.PUBLIC_URL + reverse("ico:terms", args=[token]), "invitation": invitation}


_LINKS = {
    OutboxMessage.Kind.PLACE: _place_link,
    OutboxMessage.Kind.INVITATION: _invitation_link,
}

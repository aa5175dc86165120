"""The invited person's journey: find the invitation, accept the terms, enter the wallets; or let it end.

The link's token is derived from the signing key and a nonce, so it can be written into a mail again after a crash; the
database holds the nonce and the token's SHA-256, which together open nothing.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db.models import F, Q
from django.utils.crypto import salted_hmac

from config import database, transactions
from ico import addresses, caps, locks, terms, tickets, undecided, wallets
from ico.models import Chain, ChainCursor, Entrant, Invitation, Terms

Step = Literal["terms", "wallet", "payment"]
ENDED = (Invitation.State.EXPIRED, Invitation.State.DECLINED)
UNUSED = (Invitation.State.OPEN, Invitation.State.ACCEPTED)
EXPIRE_AT_ONCE = 500


class UnknownInvitation(Exception):
    """No invitation has this token."""


class InvitationEnded(Exception):
    """The invitation expired, or its owner left the line."""

    def __init__(self, invitation: Invitation) -> None:
        super().__init__(f"the invitation has ended ({invitation.state})")
        self.invitation = invitation


class StepOutOfOrder(Exception):
    """Another step is due first, or this one is done already."""

    def __init__(self, due: Step) -> None:
        super().__init__(f"the step that is due is {due}")
        self.due = due


class AlreadyJoined(Exception):
    """Wallets are entered and deposit addresses given out: the place cannot be given up any more."""


@dataclass(frozen=True, slots=True)
class Key:
    """What an invitation stores of its token."""

    nonce: str
    token_digest: str


def new_key() -> Key:
    nonce = secrets.token_hex(16)
    return Key(nonce, _digest(token_of(nonce)))


def token_of(nonce: str) -> str:
    """The token of the link: 32 bytes that only the holder of the signing key can compute, in base64url."""
    mac = salted_hmac("ico.invitation", nonce, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def find(token: str, *, now: datetime) -> Invitation:
    """The invitation of this token. Raises `UnknownInvitation`, `InvitationEnded`. Whoever has joined keeps access to
    the payment page for good: money may still be on its way."""
    database.reading_as(_holder(_digest(token)))
    whole = Invitation.objects.select_related("sale", "entrant", "btc_rate", "eth_rate")
    try:
        invitation = database.surely(lambda: whole.get(token_digest=_digest(token)))
    except Invitation.DoesNotExist:
        raise UnknownInvitation("no invitation has this token") from None
    over = invitation.state in ENDED or invitation.expires_at <= now
    if over and invitation.joined_at is None:
        raise InvitationEnded(invitation)
    return invitation


def due_step(invitation: Invitation) -> Step:
    if invitation.joined_at is not None:
        return "payment"
    return "wallet" if invitation.state == Invitation.State.ACCEPTED else "terms"


def accept_terms(
    *, invitation: Invitation, client_address: str | None, now: datetime, version: Terms | None = None
) -> None:
    """Record that these terms (the current ones, if none are named) were accepted, when and from where.
    Raises `StepOutOfOrder`, `InvitationEnded`."""
    version = version or terms.current()
    accepted = Invitation.objects.filter(pk=invitation.pk, state=Invitation.State.OPEN, expires_at__gt=now).update(
        state=Invitation.State.ACCEPTED, terms=version, accepted_at=now, accepted_from=client_address
    )
    if not accepted:
        _refuse(invitation, now)
    _wrote(invitation)


def enter_wallets(*, invitation: Invitation, btc_address: str, eth_address: str, now: datetime) -> None:
    """Record both wallets and hand out the two deposit addresses, all or nothing.

    Raises `wallets.InvalidWallets`, `StepOutOfOrder`, `InvitationEnded`.
    """
    if invitation.state != Invitation.State.ACCEPTED:
        _refuse(invitation, now)
    checked = wallets.validate(btc_address=btc_address, eth_address=eth_address, network=settings.BTC_NETWORK)
    pay_until = min(now + timedelta(seconds=invitation.sale.payment_lifetime_seconds), invitation.sale.closes_at)
    while not _joined(invitation, checked, pay_until, now):
        pass  # each turn derived an address, which a rival may have taken
    _wrote(invitation)


def _joined(invitation: Invitation, checked: wallets.Wallets, pay_until: datetime, now: datetime) -> bool:
    """Nobody is refused because nothing was derived ahead. The chain's counter comes before people in the order of
    locks, so the address that is missing is derived when the transaction has ended."""
    try:
        _join(invitation, checked, pay_until, now)
    except addresses.NoneWaiting as empty:
        addresses.derive(chain=empty.chain, count=1)
        return False
    return True


@transactions.retried
def _join(invitation: Invitation, checked: wallets.Wallets, pay_until: datetime, now: datetime) -> None:
    locks.entrants([invitation.entrant_id])
    joined = Invitation.objects.filter(pk=invitation.pk, state=Invitation.State.ACCEPTED, expires_at__gt=now).update(
        state=Invitation.State.JOINED,
        btc_wallet=checked.btc,
        eth_wallet=checked.eth,
        joined_at=now,
        pay_until=pay_until,
    )
    if not joined:
        _refuse(invitation, now)
    Entrant.objects.filter(pk=invitation.entrant_id).update(state=Entrant.State.JOINED)
    for chain in Chain.values:
        addresses.issue(chain=chain, invitation=invitation, now=now)


def decline(*, entrant_id: int) -> None:
    """End an unused invitation because its owner leaves; the allowance goes back. Inside the caller's transaction.
    Raises `AlreadyJoined`."""
    invitation = _locked(Invitation.objects.get(entrant_id=entrant_id))
    if not _end(invitation, Q(state__in=UNUSED), Invitation.State.DECLINED):
        raise AlreadyJoined("wallets are entered and addresses given out; this place cannot be given up any more")
    _wrote(invitation)


def expire(*, now: datetime) -> int:
    """End what is over: invitations not used in time, and the reservations of those who joined and did not pay in time.
    Returns how many ended."""
    unused = Invitation.objects.filter(state__in=UNUSED, expires_at__lte=now).order_by("pk")[:EXPIRE_AT_ONCE]
    ended = sum(_expire_unused(invitation, now) for invitation in unused)
    looked_until = _looked_for_payments_until()
    if looked_until is not None:
        moment = min(now, looked_until)
        unpaid = Invitation.objects.filter(
            undecided.nothing_undecided(moment),
            state=Invitation.State.JOINED,
            pay_until__lte=moment,
            allowance_cents__gt=F("credited_cents"),
        ).order_by("pk")[:EXPIRE_AT_ONCE]
        ended += sum(_expire_unpaid(invitation, moment) for invitation in unpaid)
    return ended


@transactions.retried
def _expire_unused(invitation: Invitation, now: datetime) -> bool:
    ends = _locked(invitation)
    if not _end(ends, Q(state__in=UNUSED, expires_at__lte=now), Invitation.State.EXPIRED):
        return False  # accepted to the end by its owner in the same moment
    Entrant.objects.filter(pk=invitation.entrant_id).update(state=Entrant.State.EXPIRED, email_digest=None)
    return True


@transactions.retried
def _expire_unpaid(invitation: Invitation, moment: datetime) -> bool:
    """Give back what was reserved and not paid. Who paid a part stays joined, with the allowance that was used."""
    paid = invitation.credited_cents
    unchanged = Q(state=Invitation.State.JOINED, credited_cents=paid, allowance_cents=invitation.allowance_cents)
    state = Invitation.State.JOINED if paid else Invitation.State.EXPIRED
    _locked(invitation)  # the chain's follower is not in the middle of booking for it, so what is undecided can be seen
    if not Invitation.objects.filter(unchanged, undecided.nothing_undecided(moment), pk=invitation.pk).update(
        state=state, allowance_cents=paid
    ):
        return False
    caps.give_back(invitation.sale_id, invitation.allowance_cents - paid)
    if not paid:
        Entrant.objects.filter(pk=invitation.entrant_id).update(state=Entrant.State.EXPIRED, email_digest=None)
    return True


def _locked(invitation: Invitation) -> Invitation:
    """The invitation as it is now, with all rows locked that its end changes."""
    locks.entrants([invitation.entrant_id])
    (locked,) = locks.invitations([invitation.pk])
    locks.sale(invitation.sale_id)
    return locked


def _end(invitation: Invitation, condition: Q, state: Invitation.State) -> bool:
    ended = Invitation.objects.filter(condition, pk=invitation.pk).update(state=state, allowance_cents=0)
    if ended:
        caps.give_back(invitation.sale_id, invitation.allowance_cents)
    return bool(ended)


def _looked_for_payments_until() -> datetime | None:
    """The moment up to which payments were looked for on both chains, before anybody's time is declared over: both were
    followed to their tips, which are younger. A node that stands still answers too, so its answer is no look."""
    done = ChainCursor.objects.filter(followed_at__isnull=False, tip_at__isnull=False, height__gte=F("tip_height"))
    looked = [row.looked_until for row in done]
    return min((moment for moment in looked if moment), default=None) if len(looked) == len(Chain.values) else None


def _refuse(invitation: Invitation, now: datetime) -> None:
    """Say why a step could not be taken, from the row as it is now."""
    invitation.refresh_from_db()
    if invitation.joined_at is None and (invitation.state in ENDED or invitation.expires_at <= now):
        raise InvitationEnded(invitation)
    raise StepOutOfOrder(due_step(invitation))


def _holder(token_digest: str) -> str:
    """Who holds this invitation, for `config.database`."""
    return f"invitation:{token_digest}"


def _wrote(invitation: Invitation) -> None:
    """Its owner did, who also holds a ticket."""
    database.wrote(_holder(invitation.token_digest), tickets.person(invitation.entrant_id))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

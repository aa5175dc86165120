"""The invariants of the line, the release, the mails and the journey. Those of the money stand in
`ico/money_invariants.py`."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Count, F, Max, Min, Q

from config import emails
from config.audit import Evidence, Finding, Invariant, finding
from ico import money_invariants, tickets
from ico.models import DepositAddress, Entrant, Invitation, OutboxMessage, Release, Sale

State = Entrant.State
RELEASED = (State.INVITED, State.JOINED, State.EXPIRED)


def numbers_dense(evidence: Evidence) -> Finding:
    breaches, checked = [], 0
    for sale in Sale.objects.all():
        found = Entrant.objects.filter(sale=sale, number__isnull=False).aggregate(
            count=Count("pk"), different=Count("number", distinct=True), first=Min("number"), last=Max("number")
        )
        checked += found["count"]
        given = sale.last_number
        expected = {"count": given, "different": given, "first": 1 if given else None, "last": given or None}
        if found != expected:
            breaches.append(f"{sale.slug}: numbers {found}, but {sale.last_number} were given")
    return finding(checked, breaches)


def numbers_in_order(evidence: Evidence) -> Finding:
    """Numbers follow the commits, and a commit may be overtaken by others while it waits for the database; it waits no
    longer than the database's time-out."""
    breaches, checked = [], 0
    for sale in Sale.objects.all():
        latest = None
        rows = Entrant.objects.filter(sale=sale, number__isnull=False).order_by("number")
        for number, signed_up_at in rows.values_list("number", "signed_up_at").iterator():
            checked += 1
            if latest is not None and (latest - signed_up_at).total_seconds() > LONGEST_COMMIT_SECONDS:
                breaches.append(f"{sale.slug}: number {number} signed up well before a lower number")
            latest = signed_up_at if latest is None else max(latest, signed_up_at)
    return finding(checked, breaches)


LONGEST_COMMIT_SECONDS = 35  # the database's time-out of 30 s, and some room


def one_place_per_email(evidence: Evidence) -> Finding:
    breaches: list[str] = []
    places = Entrant.objects.exclude(state__in=(State.LEFT, State.EXPIRED))
    twice = places.values("sale__slug", "email").annotate(places=Count("pk")).filter(places__gt=1)
    breaches += [f"{row['sale__slug']}: {row['places']} places for one email" for row in twice]
    checked = 0
    for key, email, digest in places.values_list("pk", "email", "email_digest").iterator():
        checked += 1
        if digest != emails.digest(email):
            breaches.append(f"entrant {key}: the digest is not that of the email")
    return finding(checked, breaches)


def released_first_come_first_served(evidence: Evidence) -> Finding:
    waiting_behind = Entrant.objects.filter(state=State.WAITING, number__lte=F("sale__served"))
    early = Entrant.objects.filter(Q(number__isnull=True) | Q(number__gt=F("sale__served")), state__in=RELEASED)
    breaches = [
        f"number {n} waits, but a higher one was released" for n in waiting_behind.values_list("number", flat=True)
    ]
    breaches += [f"number {n} was released before its turn" for n in early.values_list("number", flat=True)]
    checked, last_release = 0, (0, 0)
    invited = Invitation.objects.order_by("sale_id", "entrant__number").values_list(
        "sale_id", "release_id", "entrant__number", "release__served_before", "release__served_after"
    )
    for sale_id, release_id, number, before, after in invited.iterator():
        checked += 1
        if number is None or not before < number <= after:
            breaches.append(f"number {number} is not within its release ({before}, {after}]")
        if (sale_id, release_id) < last_release:
            breaches.append(f"number {number} was released before a lower one")
        last_release = (sale_id, release_id)
    return finding(checked, breaches)


def releases_add_up(evidence: Evidence) -> Finding:
    """Each release invited as many as it says, on the reason it says, and the next begins where it ended."""
    breaches, checked = [], 0
    for sale in Sale.objects.all():
        served = 0
        for release in sale.releases.order_by("pk").annotate(invited=Count("invitations")):
            checked += 1
            if release.invited != release.size or (release.size > 0) != (release.reason == Release.Reason.RELEASED):
                breaches.append(
                    f"release {release.pk} says {release.size} ({release.reason}), invited {release.invited}"
                )
            if release.served_before != served:
                breaches.append(
                    f"release {release.pk} began at {release.served_before}, the one before ended at {served}"
                )
            served = release.served_after
        if served != sale.served:
            breaches.append(f"{sale.slug}: the releases end at {served}, the board says {sale.served}")
    return finding(checked, breaches)


def one_mail_per_invitation(evidence: Evidence) -> Finding:
    Kind = OutboxMessage.Kind
    breaches = list(_mail_counts(Entrant.objects.all(), Kind.PLACE))
    breaches += _mail_counts(Entrant.objects.filter(invitation__isnull=False), Kind.INVITATION)
    uninvited = OutboxMessage.objects.filter(kind=Kind.INVITATION, entrant__invitation__isnull=True)
    breaches += [
        f"mail {key} invites somebody who has no invitation" for key in uninvited.values_list("key", flat=True)
    ]
    sent = OutboxMessage.objects.filter(state=OutboxMessage.State.SENT)
    nameless = sent.filter(Q(message_id="") | Q(sent_at__isnull=True))
    breaches += [f"mail {key} was sent, but not when or as what" for key in nameless.values_list("key", flat=True)]
    twice = sent.values("message_id").annotate(mails=Count("pk")).filter(mails__gt=1)
    breaches += [f"{row['mails']} mails share the id {row['message_id']}" for row in twice]
    return finding(OutboxMessage.objects.count(), breaches)


def _mail_counts(entrants: "Iterable[Entrant]", kind: OutboxMessage.Kind) -> Iterator[str]:
    counted = entrants.annotate(mails=Count("messages", filter=Q(messages__kind=kind)))  # type: ignore[attr-defined]
    for key, mails in counted.exclude(mails=1).values_list("pk", "mails"):
        yield f"entrant {key} has {mails} mails of kind {kind.value}, not 1"


def journeys_complete(evidence: Evidence) -> Finding:
    """Who has joined accepted a version of the terms, at a time, and entered both wallets."""
    joined = Invitation.objects.filter(joined_at__isnull=False)
    incomplete = joined.filter(
        Q(terms=None) | Q(accepted_at=None) | Q(btc_wallet="") | Q(eth_wallet="") | Q(pay_until=None)
    )
    disordered = joined.filter(Q(accepted_at__lt=F("invited_at")) | Q(joined_at__lt=F("accepted_at")))
    breaches = [f"invitation {key} joined without a step" for key in incomplete.values_list("pk", flat=True)]
    breaches += [f"invitation {key} took its steps out of order" for key in disordered.values_list("pk", flat=True)]
    checked = 0
    for nonce, digest in Invitation.objects.values_list("nonce", "token_digest").iterator():
        checked += 1
        if not nonce or len(digest) != hashlib.sha256().digest_size * 2:
            breaches.append("an invitation has no key")
    return finding(checked, breaches)


_MATCHING = {
    Invitation.State.OPEN: State.INVITED,
    Invitation.State.ACCEPTED: State.INVITED,
    Invitation.State.JOINED: State.JOINED,
    Invitation.State.EXPIRED: State.EXPIRED,
    Invitation.State.DECLINED: State.LEFT,
}


def states_agree(evidence: Evidence) -> Finding:
    """The line and the invitations tell the same of each person."""
    pairs = Counter(Invitation.objects.values_list("state", "entrant__state"))
    breaches = [
        f"{count} invitations are {state}, but their owners are {theirs} in the line"
        for (state, theirs), count in pairs.items()
        if _MATCHING[Invitation.State(state)] != theirs
    ]
    without = Entrant.objects.filter(state__in=RELEASED, invitation=None).count()
    if without:
        breaches.append(f"{without} people are released without an invitation")
    return finding(sum(pairs.values()), breaches)


def acknowledged_present(evidence: Evidence) -> Finding:
    """Every signup that was answered with 202 is a row, under the email it was sent with."""
    breaches: list[str] = []
    for start in range(0, len(evidence.acknowledged), 500):
        breaches += _missing(evidence.acknowledged[start : start + 500])
    return finding(len(evidence.acknowledged), breaches)


def _missing(entries: Iterable[dict[str, str]]) -> Iterator[str]:
    named = []
    for entry in entries:
        try:
            named.append((tickets.read(entry["ticket"]).entrant_id, emails.normalised(entry["email"])))
        except (tickets.UnknownTicket, emails.InvalidEmail) as error:
            yield f"{entry['email']}: {error}"
    rows = dict(Entrant.objects.filter(pk__in={key for key, _ in named}).values_list("pk", "email"))
    for key, email in named:
        if rows.get(key) != email:
            yield f"{email}: acknowledged, but not in the books"


def told_where_to_pay(evidence: Evidence) -> Finding:
    """Whoever was told to pay to an address has that address, and nobody else has: a link's mark is its digest."""
    breaches: list[str] = []
    for start in range(0, len(evidence.deposit_addresses), 500):
        breaches += _wrongly_told(evidence.deposit_addresses[start : start + 500])
    return finding(len(evidence.deposit_addresses), breaches)


def _wrongly_told(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    issued: dict[str, dict[str, str]] = {}
    held = DepositAddress.objects.filter(invitation__token_digest__in={entry["mark"] for entry in entries})
    for digest, chain, address in held.values_list("invitation__token_digest", "chain", "address"):
        issued.setdefault(digest, {})[chain] = address
    for entry in entries:
        for chain, address in entry["addresses"].items():
            if issued.get(entry["mark"], {}).get(chain) != address:
                yield f"{address} ({chain}) was told to the holder of a link whose address it is not"


INVARIANTS = [
    Invariant("numbers-dense", "numbers are 1..n, without a gap, none twice", numbers_dense),
    Invariant("numbers-in-order", "who came first has the lower number", numbers_in_order),
    Invariant("one-place-per-email", "no email has two places", one_place_per_email),
    Invariant(
        "first-come-first-served", "people are released in the order of their numbers", released_first_come_first_served
    ),
    Invariant("releases-add-up", "each release invited as many as it says", releases_add_up),
    Invariant(
        "one-mail-each", "one place mail per person, one invitation mail per invitation", one_mail_per_invitation
    ),
    Invariant("journeys-complete", "who joined took every step, in order", journeys_complete),
    Invariant("states-agree", "line and invitations tell the same of each person", states_agree),
    *money_invariants.INVARIANTS,
    Invariant("acknowledged-present", "every acknowledged signup is in the books", acknowledged_present),
    Invariant("told-where-to-pay", "every address that a visitor was told to pay to is theirs", told_where_to_pay),
]

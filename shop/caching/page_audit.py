"""What the audit asks of the pages that this machine keeps for everybody: nothing in them is anybody's own.

Read from the files that the web tier serves. Looked for is what no page of a catalogue has a reason to show and what
cannot stand there by chance: a customer's email, an order's number, a form's secret. What somebody typed into a search
stands in the page of that search, and in its address.
"""

import gzip
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from django.contrib.auth.models import User

from config.audit import Evidence, Finding, Invariant, finding
from shop.caching.kept_pages import Kept, pages
from shop.models import Order

AT_ONCE = 500  # pages whose words are looked up together
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\b[2-9A-HJ-NP-Z]{4}(?:-[2-9A-HJ-NP-Z]{4}){2}\b")  # as `orders` draws them
# Names of what a session, a form or a cart brings: `csrfmiddlewaretoken`, the cookies, a checkout's key.
_SECRET = re.compile(r"csrfmiddlewaretoken|sessionid=|csrftoken=|Set-Cookie:|name=[\"']key[\"']", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a page says that might be somebody's, without what its own address says."""

    name: str
    emails: frozenset[str]
    numbers: frozenset[str]
    secrets: frozenset[str]


def nothing_private_kept(evidence: Evidence) -> Finding:
    breaches: list[str] = []
    checked = 0
    some: list[_Seen] = []
    for kept in pages.all():
        checked += 1
        some.append(_seen(kept))
        if len(some) == AT_ONCE:
            breaches += _breaches(some)
            some = []
    return finding(checked, [*breaches, *_breaches(some)])


def _seen(kept: Kept) -> _Seen:
    asked = unquote_plus(kept.name).lower()
    # Most visitors get the packed form, so that is looked into as well.
    text = html.unescape((kept.body + b"\n" + gzip.decompress(kept.packed)).decode(errors="replace"))
    emails = frozenset(email.lower().strip(".") for email in _EMAIL.findall(text))
    return _Seen(
        name=kept.name,
        emails=frozenset(email for email in emails if email not in asked),
        numbers=frozenset(number for number in _NUMBER.findall(text) if number.lower() not in asked),
        secrets=frozenset(_SECRET.findall(text)),
    )


def _breaches(some: list[_Seen]) -> Iterator[str]:
    """Of whom is not told: what the audit says is read by more people than may know it."""
    emails = frozenset().union(*(seen.emails for seen in some))
    customers = set(User.objects.filter(username__in=emails).values_list("username", flat=True))
    orders = _orders_among(frozenset().union(*(seen.numbers for seen in some)))
    for seen in some:
        yield from (f"{seen.name}: the secret of a form or session, {secret}" for secret in sorted(seen.secrets))
        if seen.emails & customers:
            yield f"{seen.name}: a customer's email"
        if seen.numbers & orders:
            yield f"{seen.name}: an order's number"


def _orders_among(numbers: frozenset[str]) -> set[str]:
    return set(Order.objects.filter(number__in=numbers).values_list("number", flat=True))


INVARIANTS = [
    Invariant("shop-pages-public", "no page kept for everybody shows what is somebody's", nothing_private_kept)
]

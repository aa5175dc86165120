"""Locking rows before they are changed, always in one order, so that nobody waits for somebody who waits for him:

    lease -> chain cursors -> entrants -> invitations -> sale

and within each in primary-key order. A transaction that changes rows of more than one kind locks them all first and
writes then: MariaDB also locks the sale's row, shared, when a row that refers to it is inserted or moves in an index,
and two transactions that share a lock can each not have it alone. Whoever has the sale's row therefore has everything
it needs, and is soon through; every signup waits for it. The reasons are in docs/decisions/0011.

Deposit addresses stand outside the order: who hands one out passes over those that others hold, and waits for nobody.

On SQLite there is one lock for the whole database, taken at the beginning of a transaction; these are plain reads.
"""

from collections.abc import Iterable
from typing import Any

from ico.models import Entrant, Invitation, Sale


def entrants(keys: Iterable[int], **still: Any) -> list[Entrant]:
    """Those of these people who are as `still` says once their rows are locked. Without joins: they would be locked
    as well."""
    return list(Entrant.objects.select_for_update().filter(pk__in=keys, **still).order_by("pk"))


def invitations(keys: Iterable[int]) -> list[Invitation]:
    return list(Invitation.objects.select_for_update().filter(pk__in=keys).order_by("pk"))


def sale(key: int) -> Sale:
    """The last lock of a transaction. Raises `Sale.DoesNotExist`."""
    return Sale.objects.select_for_update().get(pk=key)

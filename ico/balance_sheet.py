"""The books in sums, for each chain: credited, owed back, in review and on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Sum

from config import transactions
from ico.models import Chain, Deposit

State, Review = Deposit.State, Deposit.Review


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one chain. Cents by currency, at the rates fixed on the invitations; all else in satoshi or wei.
    `owed_back` and `in_review` by reason; what is in review after a reorg is on no chain and counts as nothing."""

    credited_cents: Mapping[str, int]
    owed_back: Mapping[str, int]
    in_review: Mapping[str, int]  # how many deposits
    on_the_way: int  # seen or confirming
    deposits: int

    @property
    def owed(self) -> int:
        return sum(self.owed_back.values())


def sums() -> dict[str, Sums]:
    """By chain, all of one moment."""
    with transactions.one_moment():
        return {chain: _of(chain) for chain in Chain.values}


def _of(chain: str) -> Sums:
    rows = Deposit.objects.filter(chain=chain)
    review = rows.filter(state=State.REVIEW)
    credited = rows.filter(credited_cents__gt=0).values_list("address__invitation__sale__currency")
    return Sums(
        credited_cents=dict(credited.annotate(Sum("credited_cents")).order_by()),
        owed_back=owed_back(chain),
        in_review=dict(review.values_list("review").annotate(Count("pk")).order_by()),
        on_the_way=sum(
            rows.filter(state__in=(State.SEEN, State.CONFIRMING)).values_list("amount", flat=True).iterator()
        ),
        deposits=rows.count(),
    )


def owed_back(chain: str) -> dict[str, int]:
    """Satoshi or wei by reason. Added up here, for a wei amount fits no column that a database adds up."""
    found: dict[str, int] = defaultdict(int)
    owed = Deposit.objects.filter(chain=chain, state=State.REVIEW, owed_back__gt=0)
    for reason, amount in owed.values_list("review", "owed_back").iterator():
        found[reason] += amount
    return dict(found)

"""What the chain may still decide for a reservation. Used by `invitations`, before it lets one go."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from ico.models import Deposit

# A node that is killed forgets its mempool, and a payment that others still pass on looks dropped until it is mined. A
# day is 144 blocks of Bitcoin: what they took in pays, what they left out was replaced or bids too little.
GRACE = timedelta(hours=24)

State, Review = Deposit.State, Deposit.Review


def nothing_undecided(moment: datetime) -> Q:
    """For invitations: no deposit is on its way, as of a moment up to which the chains were looked at. That is what was
    seen and is not settled, what was credited and lost its block, and for a while what was seen in time and dropped."""
    on_its_way = Q(state__in=(State.SEEN, State.CONFIRMING)) | Q(state=State.REVIEW, review=Review.REORG)
    missed = Q(state=State.DROPPED, first_seen_at__gt=moment - GRACE, first_seen_at__lte=OuterRef("pay_until"))
    return ~Q(Exists(Deposit.objects.filter(on_its_way | missed, address__invitation=OuterRef("pk"))))

"""What an operator must look at besides the line: a follower that is not at work, a node in trouble, and deposits that
only a person can settle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count

from config.cache import remembered
from ico import owed
from ico.amounts import in_coins
from ico.models import Chain, ChainCursor, Deposit, Lease

SILENT = timedelta(seconds=30)  # most steps take less, also those of many blocks
# A chain whose newest block is as old as this many take stands still: two hours on Bitcoin, five minutes on Ethereum.
STILL_BLOCKS = {Chain.BTC.value: 12, Chain.ETH.value: 25}
BLOCK_SECONDS = {Chain.BTC.value: 600.0, Chain.ETH.value: 12.0}
LEAST_STILL_SECONDS = 30.0
COUNTED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """`about`: follower, step, node, still, load, undone or owed. `since`: None where nobody wrote it down."""

    about: str
    grave: bool
    text: str
    since: datetime | None = None


def ringing(*, cursors: Sequence[ChainCursor], now: datetime) -> list[Alarm]:
    return [*_following(cursors, now), *_deposits()]


def _following(cursors: Sequence[ChainCursor], now: datetime) -> Iterator[Alarm]:
    known = {cursor.chain: cursor for cursor in cursors}
    at_work = set(Lease.objects.filter(name__startswith="follow:", expires_at__gt=now).values_list("name", flat=True))
    for chain, label in Chain.choices:
        cursor = known.get(chain)
        last = cursor.followed_at if cursor else None
        trouble = cursor.trouble if cursor else ""
        silent = last is None or last < now - SILENT
        if f"follow:{chain}" not in at_work and silent:
            why = f" ({trouble})" if trouble else ""
            yield Alarm("follower", True, f"Nobody follows {label}: no payment is seen{why}.", last)
        elif cursor and trouble:
            yield Alarm("node", False, f"{label}: {trouble}", cursor.trouble_since)
        elif cursor and silent:
            yield Alarm("step", False, f"{label}: one step takes long; no payment is seen meanwhile.", last)
        elif cursor and cursor.tip_at and cursor.tip_at < now - longest_still(chain):
            text = f"{label}: no new block. The node stands still; nobody's time to pay ends meanwhile."
            yield Alarm("still", True, text, cursor.tip_at)
        if cursor and cursor.load_trouble:
            yield Alarm("load", False, f"{label}'s load is not read: {cursor.load_trouble}")


def longest_still(chain: str) -> timedelta:
    """How old the newest block of a chain may be. A simulated one has its own pace."""
    pace = settings.SIMULATED_BLOCK_SECONDS if settings.NODES[chain] is None else BLOCK_SECONDS
    return timedelta(seconds=max(LEAST_STILL_SECONDS, STILL_BLOCKS[chain] * pace[chain]))


def _deposits() -> Iterator[Alarm]:
    found = _in_review()
    counts = dict(found["counts"])
    undone = counts.pop(Deposit.Review.REORG, 0)
    if undone:
        what = "undone by a reorg after having been credited or owed back"
        yield Alarm("undone", True, f"{_count(undone)} {what}: {found['undone']} in all that arrived.")
    if counts:
        kinds = ", ".join(f"{count:,} {Deposit.Review(review).label}" for review, count in sorted(counts.items()))
        yield Alarm("owed", False, f"{_count(sum(counts.values()))} in review ({kinds}). Owed back: {_owed()}.")


def _in_review() -> dict[str, Any]:
    """`counts`: how many deposits by what they are in review for; `undone`: what a reorg undid, in coins. Their list
    grows with the sale, so it is read only now and then."""

    def read() -> dict[str, Any]:
        rows = Deposit.objects.filter(chain__in=Chain.values, state=Deposit.State.REVIEW)
        counts: Any = rows.order_by().values_list("review").annotate(count=Count("pk"))
        undone = dict.fromkeys(Chain.values, 0)
        for chain, amount in rows.filter(review=Deposit.Review.REORG).values_list("chain", "amount"):
            undone[chain] += amount
        return {"counts": dict(counts), "undone": _in_coins(undone)}

    return dict(remembered("alarms:in-review", seconds=COUNTED_SECONDS, make=read))


def _owed() -> str:
    return _in_coins({chain: sum(by.values()) for chain, by in owed.totals().items()})


def _in_coins(sums: Mapping[str, int]) -> str:
    return " and ".join(f"{in_coins(sum_, chain)} {chain}" for chain, sum_ in sums.items() if sum_) or "nothing"


def _count(deposits: int) -> str:
    return "1 deposit" if deposits == 1 else f"{deposits:,} deposits"

"""Deposit addresses: derived from the account's public key ahead of their use, handed out lowest index first, each to
one invitation and to nobody else ever. The reasons are in docs/decisions/0019.

An owner's wallet stops looking after 20 unused addresses: `published` is what it must be told.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from config import transactions
from ico.chains import hd
from ico.models import Chain, ChainCursor, DepositAddress, Invitation

USUAL_GAP = 20  # what wallets look ahead by themselves (BIP44)
AT_ONCE = 100  # about 40 ms to derive, and a transaction of some milliseconds, for which the writers of SQLite wait
LOOKED_AT = 32  # more than there are people in the middle of joining, as a rule


class NoneWaiting(Exception):
    """No derived address of this chain is free: derive one, outside the transaction, and begin again."""

    def __init__(self, chain: str) -> None:
        super().__init__(f"no {chain} address waits to be handed out")
        self.chain = chain


class AnotherKey(RuntimeError):
    """The configured account key is not the one that the addresses so far were derived from. Nothing was derived."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the owner of a chain's account key should know. `highest`: the highest index that was handed out."""

    chain: str
    issued: int
    waiting: int
    highest: int | None

    @property
    def gap_limit(self) -> int:
        """With this the owner's wallet finds every payment, to what waits as well: the one payment may be to the last
        address, and none to all those before it."""
        return max(USUAL_GAP, self.issued + self.waiting)


def issue(*, chain: str, invitation: Invitation, now: datetime) -> DepositAddress:
    """Hand out the lowest free address, inside the caller's transaction: if that one is rolled back, the address is
    free again, and was shown to nobody. Nobody waits for it, and no other row but the invitation's is locked.

    Raises `NoneWaiting`; a second address of the chain for the same invitation raises IntegrityError.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("An address is issued inside the transaction that gives it out.")
    while (row := _free(chain)) is not None:
        if DepositAddress.objects.filter(pk=row.pk, invitation=None).update(invitation=invitation, issued_at=now):
            row.invitation, row.issued_at = invitation, now
            return row
    raise NoneWaiting(chain)


def derive_ahead(*, chain: str, most: int) -> int:
    """Derive addresses until ADDRESSES_AHEAD wait, at most so many. Returns how many; 0 also when a rival was faster.
    Raises `AnotherKey`, `hd.BadAccountKey`."""
    missing = settings.ADDRESSES_AHEAD - waiting(chain).count()
    return derive(chain=chain, count=min(most, missing)) if missing > 0 else 0


def derive(*, chain: str, count: int) -> int:
    """Derive the next so many addresses; all of them, or 0 when a rival derived there meanwhile. Deriving takes 0.4 ms
    each and happens before the transaction. Raises as `derive_ahead`."""
    first = _next_index(chain)
    _surely_the_same_key(chain, first)
    return _store(chain, first, [derived(chain=chain, index=index) for index in range(first, first + count)])


def derived(*, chain: str, index: int) -> str:
    """What the configured account key gives at this index. Raises `hd.BadAccountKey`."""
    key = settings.BTC_XPUB if chain == Chain.BTC else settings.ETH_XPUB
    network = settings.BTC_NETWORK if chain == Chain.BTC else "mainnet"
    return hd.account(chain=chain, key=key, network=network).address(index)


def waiting(chain: str) -> QuerySet[DepositAddress]:
    """What was derived and not handed out."""
    return DepositAddress.objects.filter(chain=chain, invitation=None)


def issued(chain: str) -> QuerySet[DepositAddress]:
    return DepositAddress.objects.filter(chain=chain, invitation__isnull=False)


def highest_index(chain: str) -> int | None:
    """The highest index that was handed out. What waits lies above it, but for some rows, so few are looked at."""
    return issued(chain).order_by("-index").values_list("index", flat=True).first()


def published() -> list[Published]:
    """Per chain, in the order of their names. Indexes are dense, so what was handed out is counted by what was not:
    three short looks into an index, however many addresses there are."""
    found = []
    for chain in sorted(Chain.values):
        highest = DepositAddress.objects.filter(chain=chain).aggregate(highest=Max("index"))["highest"]
        free = waiting(chain).count()
        total = 0 if highest is None else highest + 1
        found.append(Published(chain, issued=total - free, waiting=free, highest=highest_index(chain)))
    return found


def _free(chain: str) -> DepositAddress | None:
    """The lowest free row, locked; what others are just handing out is passed over. Rows are looked for without locks,
    and locked along the primary key, which rises with the index.

    Along any other index the database would lock rows for a moment that it does not take, and others would pass those
    over as well. So it is given no other: `issued_at` has none, and is empty exactly where the invitation is.
    """
    after = -1
    while True:
        free = waiting(chain).filter(index__gt=after).order_by("index").values_list("index", "pk")
        lowest = dict(free[:LOOKED_AT])
        rows = DepositAddress.objects.select_for_update(skip_locked=True).filter(pk__in=lowest.values())
        row = rows.filter(issued_at=None).order_by("pk").first() if lowest else None
        if row is not None or not lowest:
            return row
        after = max(lowest)


@transactions.retried
def _store(chain: str, first: int, found: list[str]) -> int:
    """The counter is moved from where it was looked at, and holds back whoever derives until these rows are there: no
    index is derived twice, none is left out, and primary keys rise with the index."""
    unmoved = ChainCursor.objects.filter(chain=chain, next_index=first)
    if not unmoved.update(next_index=first + len(found)):
        return 0
    rows = [DepositAddress(chain=chain, index=index, address=address) for index, address in enumerate(found, first)]
    DepositAddress.objects.bulk_create(rows)
    return len(rows)


def _next_index(chain: str) -> int:
    counter = ChainCursor.objects.filter(chain=chain).values_list("next_index", flat=True).first()
    return ChainCursor.objects.get_or_create(chain=chain)[0].next_index if counter is None else counter


def _surely_the_same_key(chain: str, first: int) -> None:
    newest = DepositAddress.objects.filter(chain=chain, index=first - 1).values_list("address", flat=True).first()
    if newest is not None and newest != derived(chain=chain, index=first - 1):
        raise AnotherKey(f"STAMPEDE_{chain}_XPUB is not the key that the {chain} addresses so far were derived from")

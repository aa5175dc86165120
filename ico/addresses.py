"""Deposit addresses: the next unused one of the account's public key, given to one invitation and to nobody else ever.

An owner's wallet stops looking after 20 unused addresses: `highest_index` is what it must be told to scan up to.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ico.chains import hd
from ico.models import Chain, ChainCursor, DepositAddress, Invitation


def issue(*, chain: str, invitation: Invitation, now: datetime) -> DepositAddress:
    """Inside the caller's transaction, which holds the chain's counter from here to its end: two people never get the
    same index, and an index that was rolled back was shown to nobody. A second one for the same invitation raises
    IntegrityError."""
    index = _next_index(chain)
    return DepositAddress.objects.create(
        chain=chain, index=index, address=derived(chain=chain, index=index), invitation=invitation, issued_at=now
    )


def derived(*, chain: str, index: int) -> str:
    """What the configured account key gives at this index. Raises `hd.BadAccountKey`."""
    key = settings.BTC_XPUB if chain == Chain.BTC else settings.ETH_XPUB
    network = settings.BTC_NETWORK if chain == Chain.BTC else "mainnet"
    return hd.account(chain=chain, key=key, network=network).address(index)


def highest_index(chain: str) -> int | None:
    newest = DepositAddress.objects.filter(chain=chain).order_by("-index").values_list("index", flat=True)
    return newest.first()


def _next_index(chain: str) -> int:
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("An address is issued inside the transaction that gives it out.")
    counter = ChainCursor.objects.filter(chain=chain)
    if not counter.update(next_index=F("next_index") + 1):
        ChainCursor.objects.get_or_create(chain=chain)
        counter.update(next_index=F("next_index") + 1)
    return counter.values_list("next_index", flat=True).get() - 1

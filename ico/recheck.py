"""Reading blocks again in which deposits are said to have arrived, without asking the books what is in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from ico.chains.base import Block, ChainClient
from ico.chunks import chunks
from ico.models import Deposit

MOST_BLOCKS = 500
Arrival = tuple[str, int, str, int]  # txid, position, address as blocks write it, amount


@dataclass(slots=True)
class Budget:
    """Blocks that may still be read: each may be megabytes."""

    blocks: int = MOST_BLOCKS


@dataclass(slots=True)
class ReadAgain:
    """Addresses (keys of `DepositAddress`) with a deposit that is not where the books say, and those with a deposit
    whose block was not read."""

    missing: set[int] = field(default_factory=set)
    unread: set[int] = field(default_factory=set)


def read_again(*, chain: str, client: ChainClient, addresses: Collection[int], up_to: int, budget: Budget) -> ReadAgain:
    """Look for every deposit of these addresses up to a height where the books say that it is."""
    result = ReadAgain()
    for height, deposits in sorted(_by_height(chain, addresses, up_to).items()):
        if budget.blocks <= 0:
            result.unread |= {deposit.address_id for deposit in deposits}
            continue
        budget.blocks -= 1
        block = client.blocks([height])[0]
        found = set() if block is None else _arrived(client, block, {deposit.txid for deposit in deposits})
        result.missing |= {deposit.address_id for deposit in deposits if _arrival(deposit) not in found}
    return result


def _by_height(chain: str, addresses: Collection[int], up_to: int) -> dict[int, list[Deposit]]:
    rows = Deposit.objects.filter(chain=chain, block_height__lte=up_to).exclude(state=Deposit.State.DROPPED)
    found: dict[int, list[Deposit]] = defaultdict(list)
    for chunk in chunks(addresses):
        for deposit in rows.filter(address_id__in=chunk).select_related("address"):
            found[deposit.block_height or 0].append(deposit)
    return found


def _arrived(client: ChainClient, block: Block, txids: set[str]) -> set[Arrival]:
    transfers = [transfer for transfer in client.transfers([block])[0] if transfer.txid in txids]
    really = client.moved(block, {transfer.txid for transfer in transfers})
    return {(one.txid, one.position, one.address, one.amount) for one in transfers if one.txid in really}


def _arrival(deposit: Deposit) -> Arrival:
    return deposit.txid, deposit.position, deposit.address.wire, deposit.amount

"""How far each chain was followed: the cursor's row, and the newest of the blocks below it. Used by `deposits`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Least

from config import transactions
from ico.chains import follow as following
from ico.chains.base import SIMULATED, BadAnswer, Block, ChainClient, WrongChain
from ico.chains.follow import Point
from ico.models import Chain, ChainCursor, DepositAddress, FollowedBlock

KEPT_BLOCKS = 288  # far deeper than any reorg that a payment should survive
CLOCK_ERROR = timedelta(hours=2)  # what Bitcoin lets a miner be wrong by
BITCOIN_NETWORKS = {"mainnet": ("main",), "testnet": ("test", "testnet4"), "regtest": ("regtest",)}
LONGEST_TROUBLE = 200


def load(chain: str) -> ChainCursor:
    cursor, _ = ChainCursor.objects.get_or_create(chain=chain)
    return cursor


def check_network(cursor: ChainCursor, client: ChainClient) -> str:
    """What the node says it is part of. Raises `WrongChain` when that is not what the settings say or what the books
    began with."""
    network = client.network()
    expected = _expected(cursor.chain)
    if network not in expected:
        raise WrongChain(f"the node is on network {network}, the settings say {' or '.join(expected)}")
    if cursor.network and network != cursor.network:
        raise WrongChain(f"the node is on network {network}, the books began on {cursor.network}")
    return network


def check_genesis(cursor: ChainCursor, client: ChainClient) -> None:
    """Two chains may have one name: a development node that was set up anew has the same chain id."""
    genesis = client.blocks([0])[0]
    kept = FollowedBlock.objects.filter(chain=cursor.chain, height=0).values_list("block_hash", flat=True).first()
    if genesis is None or genesis.hash != kept:
        raise WrongChain("the node's genesis block is not the one that the books began with")


def begin(cursor: ChainCursor, client: ChainClient, now: datetime) -> None:
    """Put it before the first block that can hold a payment to us."""
    tip = client.tip()
    first = (
        DepositAddress.objects.filter(chain=cursor.chain, issued_at__isnull=False)
        .order_by("issued_at")
        .values_list("issued_at", flat=True)
        .first()
    )
    moment = int(((first or now) - CLOCK_ERROR).timestamp())

    def time_at(height: int) -> int | None:
        block = client.blocks([height])[0]
        return None if block is None else block.time

    height = following.first_height_after(moment, tip_height=tip.height, time_at=time_at)
    genesis, start = client.blocks([0, max(0, height - 1)])
    if genesis is None or start is None:
        raise BadAnswer("the node has no block to begin with")
    _begin(cursor.chain, tip, genesis, start)
    cursor.refresh_from_db()


def stored(cursor: ChainCursor) -> list[Point]:
    """The recent blocks that were followed, rising."""
    rows = FollowedBlock.objects.filter(
        chain=cursor.chain, height__gt=cursor.height - KEPT_BLOCKS, height__lte=cursor.height
    ).order_by("height")
    return [Point(height, block_hash) for height, block_hash in rows.values_list("height", "block_hash")]


@dataclass(frozen=True, slots=True)
class Step:
    """Where a step leads: from `ancestor`, on the node's chain that ends at `tip`, up to `end`."""

    ancestor: Point
    end: Point
    tip: Block
    mempool_is_whole: bool  # whether all that waits at the node was told


def claim(cursor: ChainCursor, step: Step, *, network: str, now: datetime) -> bool:
    """Move the cursor from where the step began; False when another follower moved it first. What was wrong is over.
    Payments count as looked for until the time in the tip's block, and not until now: a node that stands still answers
    too. While a part of its mempool was not told they do not count as looked for at all."""
    looked = {"tip_at": _tip_at(step.tip, now)} if step.mempool_is_whole else {}
    begun_from = ChainCursor.objects.filter(chain=cursor.chain, height=cursor.height, block_hash=cursor.block_hash)
    moved = begun_from.update(
        height=step.end.height,
        block_hash=step.end.hash,
        tip_height=step.tip.height,
        followed_at=now,
        # A reorg that reaches below where following began leads to blocks that nobody has looked into.
        start_height=Least(F("start_height"), Value(step.ancestor.height + 1)),
        network=network,
        trouble="",
        trouble_since=None,
        behind_since=None,
        **looked,
    )
    return moved == 1


def _tip_at(tip: Block, now: datetime) -> datetime:
    """At most now: on Bitcoin a miner's clock may be two hours ahead."""
    return datetime.fromtimestamp(max(0, min(tip.time, now.timestamp())), UTC)


def remember(chain: str, *, ancestor: Point, rewound: bool, blocks: Sequence[Block]) -> None:
    """Keep the newest blocks, and the genesis block for good: it says which chain the books are about."""
    rows = FollowedBlock.objects.filter(chain=chain)
    if rewound:
        rows.filter(height__gt=ancestor.height).delete()
    if blocks:
        FollowedBlock.objects.bulk_create([_followed(chain, block) for block in blocks[-KEPT_BLOCKS:]])
        rows.filter(height__gt=0, height__lte=blocks[-1].height - KEPT_BLOCKS).delete()


def record_trouble(cursor: ChainCursor, error: Exception, *, behind_since: datetime | None, now: datetime) -> None:
    """Write down why the chain is not followed, unless that is what stands there. `behind_since`: since when the node's
    tip is below what was followed, and nothing else was the matter."""
    told = plain(error)
    if (cursor.trouble, cursor.behind_since) != (told, behind_since):
        ChainCursor.objects.filter(chain=cursor.chain).update(
            trouble=told, trouble_since=Coalesce("trouble_since", now), behind_since=behind_since
        )


def record_load_trouble(chain: str, told: str) -> None:
    """Write down why the chain's load is not read; "" when it is."""
    ChainCursor.objects.filter(chain=chain).update(load_trouble=told)


def plain(error: Exception) -> str:
    """An error in one line that is fit for a page: it may quote what a node said."""
    text = str(error) or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in text[:LONGEST_TROUBLE])


@transactions.retried
def _begin(chain: str, tip: Block, genesis: Block, start: Block) -> None:
    begun = ChainCursor.objects.filter(chain=chain, block_hash="").update(
        height=start.height, block_hash=start.hash, tip_height=tip.height, start_height=start.height + 1
    )
    if begun:  # else a rival began in the same moment
        FollowedBlock.objects.bulk_create([_followed(chain, block) for block in {genesis, start}])


def _expected(chain: str) -> tuple[str, ...]:
    """A simulated chain where no node is named, and nowhere else: what a node calls itself is not to be believed."""
    if settings.NODES[chain] is None:
        return (SIMULATED,)
    return BITCOIN_NETWORKS[settings.BTC_NETWORK] if chain == Chain.BTC else (str(settings.ETH_CHAIN_ID),)


def _followed(chain: str, block: Block) -> FollowedBlock:
    return FollowedBlock(chain=chain, height=block.height, block_hash=block.hash, parent_hash=block.parent)

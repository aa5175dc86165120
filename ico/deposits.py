"""Following the chains: every transfer to one of our addresses is recorded once and kept in step with the chain.

    seen (mempool) -> confirming (in a block) -> credited or in review (final; `books` decides)
    seen -> dropped (gone from the mempool, or failed in a block)       any of them -> back to seen (block given up)

One step asks the node first, outside any transaction (`sightings`), and then changes blocks, deposits, books and cursor
in one. Only one follower gets to do so: the cursor is moved by a conditional UPDATE from where the step began. A step
that fails changes nothing; why it failed is written beside the cursor.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.conf import settings
from django.db import Error as DatabaseError

from config import transactions
from ico import arrivals, books, cursors, locks, sightings
from ico.arrivals import Arrival
from ico.chains import load
from ico.chains.base import ChainBusy, ChainClient, GaugedClient
from ico.models import ChainCursor, ChainReading
from ico.nodes import client_for as client_for
from ico.patience import Patience
from ico.payments import status as status
from ico.sightings import View

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Followed:
    """What one step did. `overtaken`: another follower moved the cursor first, and nothing was done here. `more_heard`:
    a part of the mempool was not told yet. `undone`: what a reorg took back that somebody may have acted on."""

    chain: str
    height: int
    tip_height: int
    blocks: int = 0
    rewound: int = 0
    booked: int = 0
    overtaken: bool = False
    more_heard: bool = False
    undone: tuple[str, ...] = ()

    @property
    def lag(self) -> int:
        return self.tip_height - self.height

    @property
    def is_unfinished(self) -> bool:
        """Whether there is more to do at once."""
        return self.more_heard or self.booked == books.MOST_AT_ONCE or (self.lag > 0 and self.blocks > 0)


class Follower:
    """One chain, followed with one client, step by step. A restart costs nothing but the look at the whole mempool."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._mempool = sightings.Mempool(client)
        self._network = ""  # as the node named it; empty until it was asked, and again when the connection was lost
        self._patience = Patience()
        self._at_the_tip = True  # whether the last step ended there

    def step(self, now: datetime) -> Followed:
        """One bounded step. Raises a `ChainError` when there is something wrong with the node or its chain; then
        nothing was changed, except that the cursor says so."""
        cursor = cursors.load(self._client.chain)
        try:
            followed = self._step(cursor, now)
        except DatabaseError:
            raise
        except Exception as error:
            self._failed(cursor, error, now)
            raise
        self._patience.begin_anew()
        self._at_the_tip = followed.lag <= 0
        if not followed.overtaken:
            self._mempool.taken_in()
        for told in followed.undone:  # what was rolled back and tried again is told once
            logger.error("%s", told)
        return followed

    def interrupted(self) -> None:
        """Nothing was looked at for a while: how long a node has been behind is not known any more."""
        self._patience.begin_anew()

    def _step(self, cursor: ChainCursor, now: datetime) -> Followed:
        self._know_the_chain(cursor, now)
        # The mempool before the tip: what is in neither then was really dropped, and not just mined in between. Far
        # from the tip nothing counts as dropped, so nobody asks.
        appeared = self._mempool.appeared(now)
        gone = self._mempool.gone() if self._at_the_tip else set()

        def patient(tip_height: int) -> bool:
            seconds = settings.NODE_PATIENCE_SECONDS
            return self._patience.is_left(tip_height, now=now, known=cursor.behind_since, seconds=seconds)

        view = sightings.look(self._client, stored=cursors.stored(cursor), patient=patient)
        followed = _take_in(cursor, view, appeared, gone, self._network, now, mempool_is_whole=self._mempool.is_whole)
        return replace(followed, more_heard=self._mempool.has_more)

    def _failed(self, cursor: ChainCursor, error: Exception, now: datetime) -> None:
        """A node that only asks for more time between two questions is still the one whose network is known. One that
        says itself that it is catching up is not a chain that went back, however long that takes."""
        if not isinstance(error, ChainBusy):
            self._network = ""
        if not isinstance(error, sightings.TipBelow):
            self._patience.begin_anew()
        cursors.record_trouble(cursor, error, behind_since=self._patience.since, now=now)

    def _know_the_chain(self, cursor: ChainCursor, now: datetime) -> None:
        if self._network:
            return
        network = cursors.check_network(cursor, self._client)
        if not cursor.block_hash:
            cursors.begin(cursor, self._client, now)
        cursors.check_genesis(cursor, self._client)
        self._network = network


def follow(*, chain: str, client: ChainClient, now: datetime) -> Followed:
    """One bounded step, by whoever takes only one."""
    if client.chain != chain:
        raise ValueError(f"a client of {client.chain} was given for {chain}")
    return Follower(client).step(now)


@transactions.retried
def _take_in(
    cursor: ChainCursor,
    view: View,
    appeared: Collection[Arrival],
    gone: set[str],
    network: str,
    now: datetime,
    *,
    mempool_is_whole: bool,
) -> Followed:
    chain, end, above = cursor.chain, view.end, view.ancestor.height
    rewound = cursor.height - above
    step = cursors.Step(end=end, ancestor=view.ancestor, tip=view.tip, mempool_is_whole=mempool_is_whole)
    if not cursors.claim(cursor, step, network=network, now=now):
        return Followed(chain, cursor.height, cursor.tip_height, overtaken=True)
    undone: list[str] = []
    if rewound:
        locks.invitations(arrivals.participants(chain=chain, above_height=above, found=view.arrivals))
        undone = arrivals.unconfirm(chain=chain, above_height=above, now=now)
    cursors.remember(chain, ancestor=view.ancestor, rewound=rewound > 0, blocks=view.blocks)
    # During a reorg a transaction may be in neither place, so nothing counts as dropped in a step that rewinds.
    never = view.failed | gone if view.is_whole and not rewound else view.failed
    arrivals.record(chain=chain, found=[*appeared, *view.arrivals], never=never, now=now)
    booked = books.settle(chain=chain, tip=end.height, final=view.final, now=now)
    return Followed(
        chain,
        end.height,
        view.tip.height,
        len(view.blocks),
        rewound,
        booked,
        undone=tuple(undone),
    )


def read_load(*, client: GaugedClient, now: datetime) -> None:
    """Record the chain's load for the release. Its age is that of the newest block in it, so a node that stands still
    grows stale even while it answers. Raises what `load.read` raises; then the reading before it stays."""
    reading = load.read(client, now=now.timestamp())
    newest = datetime.fromtimestamp(reading.newest_at, UTC)
    ChainReading.objects.update_or_create(
        chain=client.chain,
        defaults={
            "load": reading.ratio,
            "base_fee": reading.base_fee,
            "tip": reading.tip,
            "observed_at": min(now, newest),
        },
    )

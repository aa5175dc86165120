"""Step after step along one chain, told to the log. Used by `followers`."""

from __future__ import annotations

import logging
import time

from django.utils import timezone

from ico import cursors, deposits, nodes
from ico.chains.base import ChainError
from ico.models import Chain

logger = logging.getLogger(__name__)

LOAD_SECONDS = 5.0
PROGRESS_SECONDS = 5.0
ABSENT_SECONDS = 120.0  # longer than any pause between two steps


class Steps:
    """Step after step along one chain, with one client, told to the log."""

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self._follower: deposits.Follower | None = None
        self._progress = Progress(chain)
        self._load_read = -LOAD_SECONDS
        self._load_failure: str | None = None  # what another process wrote is not known
        self._taken = 0.0  # when, by the monotonic clock

    def take(self) -> bool:
        """Whether there is more to follow at once."""
        if self._follower is None:
            self._follower = deposits.Follower(deposits.client_for(self.chain))
        before, self._taken = self._taken, time.monotonic()
        if self._taken - before > ABSENT_SECONDS:
            self._follower.interrupted()
        followed = self._follower.step(timezone.now())
        if followed.rewound:
            logger.warning("%s gave up %d blocks that were followed", self.chain, followed.rewound)
        if followed.booked:
            logger.info("%s at block %d: %d deposits were booked", self.chain, followed.height, followed.booked)
        self._progress.tell(followed)
        if self.chain == Chain.ETH and time.monotonic() - self._load_read >= LOAD_SECONDS:
            self._load_read = time.monotonic()
            self._read_load()
        return followed.is_unfinished

    def _read_load(self) -> None:
        """A reading that fails holds the releases by growing old, and why it failed is written beside the cursor; the
        chain is followed all the same."""
        try:
            deposits.read_load(client=nodes.gauged(), now=timezone.now())
            failure = ""
        except Exception as error:
            failure = cursors.plain(error)
            if failure != self._load_failure:
                unexpected = None if isinstance(error, ChainError) else error
                logger.warning("the load of %s was not read: %s", self.chain, failure, exc_info=unexpected)
        if failure != self._load_failure:
            cursors.record_load_trouble(self.chain, failure)
        self._load_failure = failure


class Progress:
    """One line every few seconds while a chain lags by more than one step can follow."""

    def __init__(self, chain: str) -> None:
        self._chain = chain
        self._since: float | None = None
        self._blocks = 0

    def tell(self, followed: deposits.Followed) -> None:
        now = time.monotonic()
        if self._since is None:
            if followed.lag <= 0:
                return
            self._since, self._blocks = now, 0
            logger.info("%s lags by %d blocks", self._chain, followed.lag)
            return
        self._blocks += followed.blocks
        if followed.lag <= 0:
            self._since = None
            logger.info("%s has caught up, at block %d", self._chain, followed.height)
        elif now - self._since >= PROGRESS_SECONDS:
            rate = self._blocks / (now - self._since)
            self._since, self._blocks = now, 0
            logger.info(
                "%s at block %d of %d: %.1f blocks/s, %d to go",
                self._chain,
                followed.height,
                followed.tip_height,
                rate,
                followed.lag,
            )

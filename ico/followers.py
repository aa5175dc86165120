"""The follower's process: each chain in a thread of its own, so that a node that hangs holds up no other chain, and
each led by one process alone, so that a second one stands by and takes over."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from datetime import datetime, timedelta

from django.db import close_old_connections, connections
from django.utils import timezone

from ico import deposits, leases, nodes
from ico.chains.base import ChainError
from ico.models import Chain

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # between two steps, once everything is followed
# Between two steps of many: who waits for SQLite's write lock looks for it every 100 ms, and would not find it free.
BREATH_SECONDS = 0.1
LEASE_SECONDS = 20.0  # a leader that died is followed by another after this
RENEWED_SECONDS = 5.0
LOAD_SECONDS = 5.0
PROGRESS_SECONDS = 5.0
STOP_SECONDS = 25.0  # less than the 30 s that supervisor waits before it kills


def run(stop: threading.Event) -> None:
    """Follow both chains until told to stop. Raises `RuntimeError` when a thread ended by itself."""
    hands = [Hand(chain, stop) for chain in Chain.values]
    for hand in hands:
        hand.thread.start()
    while not stop.wait(1.0):
        for hand in hands:
            if not hand.thread.is_alive():
                stop.set()
                raise RuntimeError(f"{hand.chain} is not followed any more")
    deadline = time.monotonic() + STOP_SECONDS
    for hand in hands:
        hand.thread.join(max(0.0, deadline - time.monotonic()))
        if hand.thread.is_alive():
            logger.error("%s: its step still runs after %g s and is given up", hand.chain, STOP_SECONDS)
            hand.give_up()


def once() -> None:
    """One step along each chain, whoever leads. Raises what the first one that failed did, after all were tried."""
    failed: list[Exception] = []
    for chain in Chain.values:
        try:
            Steps(chain).take()
        except Exception as error:  # noqa: BLE001 (raised below)
            failed.append(error)
    if failed:
        raise failed[0]


class Leadership:
    """Whether this process is the one to follow a chain. The cursor's conditional UPDATE is what makes a second leader
    harmless; the lease saves its work."""

    def __init__(self, chain: str) -> None:
        self._name = f"follow:{chain}"
        self._holder = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._renewed: datetime | None = None

    def held(self, now: datetime) -> bool:
        """Asks the database only now and then: a lease that was just renewed is still ours."""
        if self._renewed and timedelta() <= now - self._renewed < timedelta(seconds=RENEWED_SECONDS):
            return True
        mine = leases.held(self._name, holder=self._holder, seconds=LEASE_SECONDS, now=now)
        self._renewed = now if mine else None
        return mine

    def give_up(self) -> None:
        self._renewed = None
        leases.give_up(self._name, holder=self._holder)


class Steps:
    """Step after step along one chain, with one client, told to the log."""

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self._follower: deposits.Follower | None = None
        self._progress = Progress(chain)
        self._load_read = -LOAD_SECONDS
        self._load_failure = ""

    def take(self) -> bool:
        """Whether there is more to follow at once."""
        if self._follower is None:
            self._follower = deposits.Follower(deposits.client_for(self.chain))
        followed = self._follower.step(timezone.now())
        if followed.rewound:
            logger.warning("%s gave up %d blocks that were followed", self.chain, followed.rewound)
        if followed.booked:
            logger.info("%s at block %d: %d deposits were booked", self.chain, followed.height, followed.booked)
        self._progress.tell(followed)
        if self.chain == Chain.ETH and time.monotonic() - self._load_read >= LOAD_SECONDS:
            self._load_read = time.monotonic()
            self._read_load()
        return followed.lag > 0 and followed.blocks > 0

    def _read_load(self) -> None:
        """A reading that fails holds the releases by growing old; the chain is followed all the same."""
        try:
            deposits.read_load(client=nodes.gauged(), now=timezone.now())
        except ChainError as error:
            if str(error) != self._load_failure:
                logger.warning("the load of %s was not read: %s", self.chain, error)
            self._load_failure = str(error)
        else:
            self._load_failure = ""


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


class Hand:
    """One chain's thread. A daemon, so that a node that never answers does not keep the process."""

    def __init__(self, chain: str, stop: threading.Event) -> None:
        self.chain = chain
        self.thread = threading.Thread(target=self._run, name=f"follow-{chain}", daemon=True)
        self._stop = stop
        self._leadership = Leadership(chain)
        self._steps = Steps(chain)
        self._leads = False
        self._failure = ""

    def give_up(self) -> None:
        self._leadership.give_up()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._stop.wait(BREATH_SECONDS if self._turn() else PAUSE_SECONDS)
            self.give_up()
        finally:
            connections.close_all()

    def _turn(self) -> bool:
        """Take a step if it is ours to take; whether to go on at once. Whatever goes wrong is told the log, once as
        long as it stays the same."""
        try:
            close_old_connections()  # the server may have been restarted since the last step
            more = self._is_leading() and self._steps.take()
        except Exception as error:  # noqa: BLE001 (told; whatever it is, the next turn tries again)
            self._tell(error)
            return False
        if self._failure:
            logger.warning("%s is followed again", self.chain)
        self._failure = ""
        return more

    def _is_leading(self) -> bool:
        leads = self._leadership.held(timezone.now())
        if leads != self._leads:
            logger.info("%s is followed by %s", self.chain, "this process" if leads else "another process")
        self._leads = leads
        return leads

    def _tell(self, error: Exception) -> None:
        told = str(error) or repr(error)
        if told != self._failure:
            expected = isinstance(error, ChainError)
            logger.warning("%s was not followed: %s", self.chain, told, exc_info=None if expected else error)
        self._failure = told

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

from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.utils import timezone

from ico import cursors, leases
from ico.chains.base import ChainBusy, ChainError, ChainUnavailable, NodeBehind
from ico.models import Chain
from ico.steps import Steps

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # between two steps, once everything is followed
# Between two steps of many: who waits for SQLite's write lock looks for it every 100 ms, must find both chains at rest,
# and would else wait three times as long (bench/catch_up.py).
BREATH_SECONDS = 0.25
LEASE_SECONDS = 20.0  # a leader that died is followed by another after this
RENEWED_SECONDS = 5.0
TURN_SECONDS = 600.0  # a step that takes longer is not at work any more, and another process may try
LONGEST_PAUSE_SECONDS = 60.0  # between two questions to a node that does not answer
FAILING_SECONDS = 60.0  # then another process may try, which may ask another node
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
            hand.stay()
    deadline = time.monotonic() + STOP_SECONDS
    for hand in hands:
        hand.thread.join(max(0.0, deadline - time.monotonic()))
        if hand.thread.is_alive():
            logger.error("%s: its step still runs after %g s and is given up", hand.chain, STOP_SECONDS)
            hand.give_up()


def once() -> dict[str, Exception]:
    """One step along each chain, whoever leads. Answers what went wrong, by chain."""
    failed: dict[str, Exception] = {}
    for chain in Chain.values:
        try:
            Steps(chain).take()
        except Exception as error:  # noqa: BLE001 (handed to the caller)
            failed[chain] = error
    return failed


class Leadership:
    """Whether this process is the one to follow a chain. The cursor's conditional UPDATE is what makes a second leader
    harmless; the lease saves its work."""

    def __init__(self, chain: str) -> None:
        self._name = f"follow:{chain}"
        self._holder = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._renewed: datetime | None = None

    def held(self, now: datetime) -> bool:
        """Asks the database only now and then: a lease that was just renewed is still ours."""
        if not self._is_due(now):
            return True
        mine = leases.held(self._name, holder=self._holder, seconds=LEASE_SECONDS, now=now)
        self._renewed = now if mine else None
        return mine

    def renew(self, now: datetime) -> None:
        """Go on leading, for who does so."""
        if self._renewed and self._is_due(now):
            self.held(now)

    def _is_due(self, now: datetime) -> bool:
        return not (self._renewed and timedelta() <= now - self._renewed < timedelta(seconds=RENEWED_SECONDS))

    def give_up(self) -> None:
        self._renewed = None
        leases.give_up(self._name, holder=self._holder)


class Hand:
    """One chain's thread. A daemon, so that a node that never answers does not keep the process."""

    def __init__(self, chain: str, stop: threading.Event) -> None:
        self.chain = chain
        self.thread = threading.Thread(target=self._run, name=f"follow-{chain}", daemon=True)
        self._stop = stop
        self._leadership = Leadership(chain)
        self._steps = Steps(chain)
        self._lock = threading.Lock()  # over the leadership: the process renews it while the thread is in a step
        self._leads = False
        self._turn_at = 0.0  # when the last step began, by the monotonic clock
        self._failure = ""
        self._failing_since: float | None = None
        self._pause = PAUSE_SECONDS
        self._stands_back_until = 0.0
        self._stood_back = False  # since the last step that was one

    def give_up(self) -> None:
        with self._lock:
            self._leadership.give_up()

    def stay(self) -> None:
        """Keep the lead while a step or a pause after one takes longer than the lease. Of another thread."""
        if time.monotonic() - self._turn_at > TURN_SECONDS:
            return
        try:
            with self._lock:
                self._leadership.renew(timezone.now())
        except Exception as error:  # noqa: BLE001 (the step itself meets the same database, and tells of it)
            logger.info("%s: the lease was not renewed: %s", self.chain, cursors.plain(error))
        finally:
            connections.close_all()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._stop.wait(self._turn())
            self.give_up()
        finally:
            connections.close_all()

    def _turn(self) -> float:
        """Take a step if it is ours to take; how many seconds to wait then. Whatever goes wrong is told the log, once
        as long as it stays the same."""
        try:
            close_old_connections()  # the server may have been restarted since the last step
            if not self._is_leading():
                return PAUSE_SECONDS
            self._turn_at = time.monotonic()
            more = self._steps.take()
        except Exception as error:  # noqa: BLE001 (told; whatever it is, the next turn tries again)
            return self._failed(error)
        if self._failure:
            logger.warning("%s is followed again", self.chain)
        self._failure, self._failing_since, self._pause, self._stood_back = "", None, PAUSE_SECONDS, False
        return BREATH_SECONDS if more else PAUSE_SECONDS

    def _failed(self, error: Exception) -> float:
        """A node that does not answer, or asks for it, is left alone for longer and longer. After a minute of failures
        whoever stands by may lead: its node may be a better one. Because of a node that is behind only once: when all
        of them are, one must go on looking until the patience is over."""
        self._tell(error)
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since >= FAILING_SECONDS and not (self._stood_back and isinstance(error, NodeBehind)):
            self._stand_back(now)
        if not isinstance(error, ChainBusy | ChainUnavailable):
            return PAUSE_SECONDS
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return pause

    def _stand_back(self, now: float) -> None:
        logger.warning("%s failed for %g s: another process may follow it", self.chain, FAILING_SECONDS)
        self._failing_since, self._stood_back, self._leads = None, True, False
        self._stands_back_until = now + LEASE_SECONDS
        try:
            self.give_up()
        except DatabaseError:
            logger.info("%s: the lease runs out by itself", self.chain)

    def _is_leading(self) -> bool:
        if time.monotonic() < self._stands_back_until:
            return False
        with self._lock:
            leads = self._leadership.held(timezone.now())
        if leads != self._leads:
            logger.info("%s is followed by %s", self.chain, "this process" if leads else "another process")
        self._leads = leads
        return leads

    def _tell(self, error: Exception) -> None:
        told = cursors.plain(error)
        if told != self._failure:
            unexpected = None if isinstance(error, ChainError) else error
            logger.warning("%s was not followed: %s", self.chain, told, exc_info=unexpected)
        self._failure = told

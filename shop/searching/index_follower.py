"""The thread of each web process that takes into the search index what changes, and builds it where there is none."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import datetime, timedelta

from django.db import close_old_connections
from django.utils import timezone

from config.faults import words
from shop import changes
from shop.searching import indexing
from shop.searching.index_faults import NotReady, doubt

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0  # how often it is looked whether the index lacks something that nobody told
RETRY_SECONDS = 5.0
# More products than this are looked at faster by building the index anew.
_MANY = 20_000


class Follower:
    """What this process was told and did not look at yet."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._started_in = 0
        self._fault = ""
        self._checked = 0  # the last product that was compared without being told of

    def hear(self, tags: frozenset[str], discovered: float) -> None:
        """A listener of `changes`."""
        ours = {tag for tag in tags if tag.startswith(("product:", "category:")) or tag == changes.DEPARTMENTS}
        if ours:
            with self._lock:
                self._told |= ours
            self._wake.set()

    def start(self) -> None:
        """Follow from now on. Who follows already goes on; a forked child needs a thread of its own."""
        changes.listen(self.hear)
        doubt.listen(self._wake.set)  # a broken index is made anew now, not at the next change
        with self._starting:
            if self._started_in == os.getpid():
                return
            self._started_in = os.getpid()
        threading.Thread(target=self._go_on, name="search-index", daemon=True).start()

    def step(self) -> None:
        """Look at what was told, and build the index if there is none."""
        built = indexing.ensure()
        if built:
            logger.info("search index built: %d products in %.1f s", built.products, built.seconds)
        seen_until = _seen_until()  # before the tags are taken: what is told meanwhile is looked at next time
        with self._lock:
            told, self._told = frozenset(self._told), set()
        try:
            found = indexing.take_in(told, as_of=seen_until)
        except BaseException:
            with self._lock:
                self._told |= told
            raise
        if found:
            changes.pass_on(found)

    def look_for_strays(self) -> None:
        """Take in what nobody told: products that were added by the thousand, how well they sell, what went wrong here,
        and a change that was committed so long after its number was given that no watch read it."""
        strays = indexing.strays()
        if len(strays) > _MANY:
            indexing.rebuild()
        elif strays:
            indexing.refresh(strays)
        mended, self._checked = indexing.check(after=self._checked)
        if mended:
            logger.info("search index: %d products were not as their rows say", mended)

    def _go_on(self) -> None:
        looked = time.monotonic()
        while True:
            try:
                close_old_connections()
                self.step()
                if time.monotonic() - looked > IDLE_SECONDS:
                    self.look_for_strays()
                    looked = time.monotonic()
                self._tell("")
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()
            except BaseException as error:  # noqa: BLE001 (also the engine's panic: who ends here follows never again)
                self._tell(str(error) if isinstance(error, NotReady) else words(error))
                time.sleep(RETRY_SECONDS)  # nobody waits for this thread

    def _tell(self, fault: str) -> None:
        if fault and not self._fault:
            logger.warning("the search index stays as it is: %s", fault)
        elif self._fault and not fault:
            logger.info("the search index follows again")
        self._fault = fault


def _seen_until() -> datetime | None:
    """Until when all that is told was heard here."""
    looked_at = changes.watch.looked_at
    return None if looked_at is None else timezone.now() - timedelta(seconds=time.monotonic() - looked_at)


follower = Follower()
start = follower.start

"""The clock: what is due is done by the beat process itself, each entry of the schedule in a thread of its own.

Celery's beat publishes a message per tick, and a worker takes it up: eight messages a second that are worthless a
moment later, a fee each where the broker charges by the call. Here a tick travels nowhere (docs/decisions/0013). An
entry whose last tick still runs is left out until it is through, and one that fails or hangs holds up no other.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry
from celery.beat import Scheduler as BeatScheduler
from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)

STOP_SECONDS = 25.0  # less than the 30 s that supervisor waits before it kills

Tick = Callable[[], object]


class Hand:
    """One entry's thread. It lives as long as the clock does, for a database connection belongs to a thread, and a new
    one every tick would cost more than the tick."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.busy = False
        self._failure = ""
        # Told from within a signal handler too, and of all queues only this one's `put` may be interrupted by itself.
        self._ticks: SimpleQueue[Tick | None] = SimpleQueue()
        # A daemon, so that a tick that hangs for ever does not keep the process.
        self.thread = threading.Thread(target=self._run, name=f"clock-{name}", daemon=True)
        self.thread.start()

    def begin(self, tick: Tick) -> None:
        """Do it now, unless the last one is still being done."""
        if not self.busy:
            self.busy = True
            self._ticks.put(tick)

    def stop(self) -> None:
        """No further tick; one that runs is finished."""
        self._ticks.put(None)

    def _run(self) -> None:
        try:
            while (tick := self._ticks.get()) is not None:
                self._perform(tick)
                self.busy = False
        finally:
            connections.close_all()

    def _perform(self, tick: Tick) -> None:
        try:
            close_old_connections()  # the server may have been restarted since the last tick
            tick()
        except Exception as error:  # noqa: BLE001 (told; whatever it is, the next tick tries again)
            self._tell(error)
        else:
            if self._failure:
                logger.warning("tick %s works again", self.name)
            self._failure = ""

    def _tell(self, error: Exception) -> None:
        # Once as long as it stays the same: a dead database would write two tracebacks a second and hand.
        if str(error) != self._failure:
            logger.error("tick %s failed", self.name, exc_info=error)
        self._failure = str(error) or repr(error)


class Scheduler(BeatScheduler):
    """Celery's scheduler with hands instead of messages. Named by `settings.CELERY_BEAT_SCHEDULER`."""

    producer: Any = None  # beat asks for it before each tick, and would connect to the broker for it

    def __init__(self, app: Celery, **kwargs: Any) -> None:
        self._hands: dict[str, Hand] = {}
        self._closing = False
        super().__init__(app, **kwargs)

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        if self._closing:
            return
        name = str(entry.name)
        if name not in self._hands:
            self._hands[name] = Hand(name)
        task = self.app.tasks[str(entry.task)]
        self._hands[name].begin(partial(task, *(entry.args or ()), **(entry.kwargs or {})))

    def close(self) -> None:
        """Let the ticks that run finish, and close their database connections. Called by beat from its handler of
        SIGTERM, and a second time when its loop ends."""
        self._closing = True
        hands, self._hands = self._hands, {}
        for hand in hands.values():
            hand.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for hand in hands.values():
            hand.thread.join(max(0.0, deadline - time.monotonic()))
            if hand.thread.is_alive():
                logger.error("tick %s still runs after %g s and is given up", hand.name, STOP_SECONDS)
        super().close()

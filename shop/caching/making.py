"""Making a page once for however many who ask, in this process and in all of this machine.

Who asks for a page that is nowhere makes it, and everybody else who asks meanwhile waits for that one and takes it:
threads of this process on an event, the first of another process on a file lock. Who asks for a page that is only old
is answered with it, and one thread in the background makes it anew.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 10.0  # for somebody else's making; longer than any page takes that will come
REST_SECONDS = 2.0  # after a renewal that failed
RENEWERS = 2  # threads of a process; each keeps a database connection


class TakesTooLong(Exception):
    """Somebody else is making this page and did not get done in time."""


class Busy(Exception):
    """Somebody else holds the lock."""


class _Making(Generic[T]):
    """One making that others may wait for."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.made: T | None = None
        self.succeeded = False
        self.failure: Exception | None = None


class Together(Generic[T]):
    """Within this process, one making of each name at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Making[T]] = {}

    def make(self, name: str, make: Callable[[], T]) -> T:
        """`make()`, or what another thread that is at it returns or raises. Raises `TakesTooLong`."""
        with self._lock:
            running = self._running.get(name)
            if running is None:
                mine = self._running[name] = _Making[T]()
        return self._lead(name, mine, make) if running is None else self._follow(running)

    def _lead(self, name: str, mine: _Making[T], make: Callable[[], T]) -> T:
        try:
            mine.made = made = make()
            mine.succeeded = True
        except Exception as error:
            mine.failure = error
            raise
        finally:
            with self._lock:
                del self._running[name]
            mine.done.set()
        return made

    def _follow(self, running: _Making[T]) -> T:
        if not running.done.wait(WAIT_SECONDS):
            raise TakesTooLong
        if running.failure is not None:
            raise running.failure
        if not running.succeeded:
            raise TakesTooLong  # its thread was ended by something that is no Exception
        return cast(T, running.made)


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Alone on this machine. Raises `Busy` at once when it shall not wait, else `TakesTooLong` after `WAIT_SECONDS`.
    A disk that gives no lock costs a second making in another process, and nobody the answer."""
    held = None
    try:
        held = _lock(path, wait=wait)
    except OSError as error:
        logger.warning("a page is made without the lock of this machine: %s", error)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def _lock(path: Path, *, wait: bool) -> int:
    """The file that is locked as long as it is open."""
    path.parent.mkdir(parents=True, exist_ok=True)  # somebody may have emptied the folder
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            os.close(file)
            raise Busy from None
        _wait_for(file)
    except OSError:
        os.close(file)
        raise
    return file


def _wait_for(file: int) -> None:
    """The kernel wakes who waits for a file lock, but knows no bound for the waiting; so another thread waits, and
    gives the lock back when nobody wants it any more."""
    held, decided = threading.Event(), threading.Lock()
    given_up = False

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        with decided:
            if given_up:
                os.close(file)
            held.set()

    threading.Thread(target=wait, name="page-lock", daemon=True).start()
    if held.wait(WAIT_SECONDS):
        return
    with decided:
        if held.is_set():
            return
        given_up = True
    raise TakesTooLong


class Renewers:
    """The threads that renew in the background. Begun when first needed, so that a forked process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: SimpleQueue[tuple[str, Callable[[], object]] | None] = SimpleQueue()
        self._names: set[str] = set()  # that wait or are being renewed
        self._resting: dict[str, float] = {}  # until when, after a failure
        self._threads = 0

    def ask(self, name: str, renew: Callable[[], object]) -> None:
        """Renew it soon, unless that is under way or has just failed."""
        if name in self._names or self._resting.get(name, 0.0) > time.monotonic():
            return
        with self._lock:
            if name in self._names:
                return
            self._names.add(name)
            self._begin_threads()
        self._wanted.put((name, renew))

    def end(self) -> None:
        """Its threads end when they have done what they were asked for, and their database connections with them."""
        with self._lock:
            for _ in range(self._threads):
                self._wanted.put(None)
            self._threads = 0

    def idle(self) -> bool:
        """Nothing is being renewed."""
        return not self._names

    def _begin_threads(self) -> None:
        while self._threads < RENEWERS:
            self._threads += 1
            threading.Thread(target=self._go_on, name=f"page-renewer-{self._threads}", daemon=True).start()

    def _go_on(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            name, renew = wanted
            try:
                close_old_connections()  # the server may have been restarted since
                renew()
                self._resting.pop(name, None)
            # Told, also what is no Exception; the old page goes on being shown, and the next ask tries.
            except BaseException as error:  # noqa: BLE001
                self._failed(name, error)
            finally:
                with self._lock:
                    self._names.discard(name)
        connections.close_all()

    def _failed(self, name: str, error: BaseException) -> None:
        logger.warning("a page is shown old, for it cannot be renewed: %s: %s", type(error).__name__, error)
        with self._lock:
            if len(self._resting) > 1_000:
                self._resting.clear()
            self._resting[name] = time.monotonic() + REST_SECONDS

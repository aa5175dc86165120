"""Asking somebody who may not answer, without waiting for longer than one likes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came back in time: a value, or the error that came instead of it (`TimeoutError` for nothing at all)."""

    outcome: T | Exception

    @property
    def known(self) -> bool:
        return not isinstance(self.outcome, Exception)

    @property
    def value(self) -> T:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Question(Generic[T]):
    """One question, asked in a thread of its own, by one thread at a time however many want to know.

    `fresh_seconds`: how long an answer serves those who ask after it. A thread that hangs is not joined by a second
    one: whoever asks meanwhile waits for it as long as they like, and goes.
    """

    def __init__(self, ask: Callable[[], T], *, fresh_seconds: float) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._newest: Answer[T] | None = None
        self._answered_at = 0.0

    def begin(self) -> None:
        """Ask, unless somebody is asking now or the last answer is fresh."""
        with self._lock:
            fresh = self._newest is not None and time.monotonic() - self._answered_at < self._fresh_seconds
            if self._running is None and not fresh:
                self._running = threading.Event()
                # a daemon, so that a question that is never answered does not keep the process
                threading.Thread(target=self._run, args=(self._running,), name="question", daemon=True).start()

    def answer(self, *, within: float) -> Answer[T]:
        """The answer, asked for now unless there is a fresh one. Never waits for longer than `within` seconds."""
        self.begin()
        with self._lock:
            running, newest = self._running, self._newest
        if running is None and newest is not None:
            return newest
        if running is not None and running.wait(max(0.0, within)) and self._newest is not None:
            return self._newest
        return Answer(TimeoutError("no answer in time"))

    def _run(self, done: threading.Event) -> None:
        answer: Answer[T]
        try:
            answer = Answer(self._ask())
        except Exception as error:  # noqa: BLE001 (it is the answer)
            answer = Answer(error)
        finally:
            connections.close_all()
        with self._lock:
            self._newest, self._answered_at, self._running = answer, time.monotonic(), None
        done.set()

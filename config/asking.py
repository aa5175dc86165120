"""Asking somebody who may not answer, without waiting for longer than one likes."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")
logger = logging.getLogger(__name__)


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
        self._asked = threading.Event()  # set when the newest question is answered
        self._asked.set()
        self._newest: Answer[T] = Answer(TimeoutError("never asked"))
        self._answered_at = -fresh_seconds

    def begin(self) -> threading.Event:
        """Ask, unless somebody is asking now or the last answer is fresh. What is returned is set with the answer."""
        with self._lock:
            fresh = time.monotonic() - self._answered_at < self._fresh_seconds
            if self._asked.is_set() and not fresh:
                self._asked = threading.Event()
                # a daemon, so that a question that is never answered does not keep the process
                threading.Thread(target=self._run, args=(self._asked,), name="question", daemon=True).start()
            return self._asked

    def answer(self, *, within: float, begun: threading.Event | None = None) -> Answer[T]:
        """The answer to the question that was `begun`, or that is asked now unless there is a fresh answer. Never
        waits for longer than `within` seconds."""
        begun = begun or self.begin()
        return self._newest if begun.wait(max(0.0, within)) else Answer(TimeoutError("no answer in time"))

    def _run(self, done: threading.Event) -> None:
        answer: Answer[T]
        try:
            answer = Answer(self._ask())
        except Exception as error:  # noqa: BLE001 (it is the answer)
            answer = Answer(error)
        try:
            connections.close_all()
        except Exception as error:  # noqa: BLE001 (a broken one may refuse; the answer does not depend on it)
            logger.debug("a connection cannot be closed: %s", error)
        finally:  # whatever happens, or nobody would be answered again
            with self._lock:
                self._newest, self._answered_at = answer, time.monotonic()
                done.set()

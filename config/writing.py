"""What happens to writers while the primary hangs: few of them wait, so that readers find a thread.

A primary whose disk is full takes a write and does not answer until there is room. Each writing request then holds a
thread until the connection's read time-out, and a few dozen people would take all threads there are.
"""

import threading
import time
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.requests import busy

GetResponse = Callable[[HttpRequest], HttpResponseBase]
HANGING_SECONDS = 5.0  # longer than any write that is going to succeed, shorter than the read time-out

_LATELY_SECONDS = 60.0  # when nobody has tried for so long, it is not known any more
_hung_at: float | None = None


def hung_lately() -> bool:
    """Whether a write of this process has waited in vain in the last minute, and none has succeeded since."""
    return _hung_at is not None and time.monotonic() - _hung_at < _LATELY_SECONDS


class WritingMiddleware:
    """After a writing request that failed for having waited too long, one at a time finds out whether the primary is
    back; the others are told at once to come again. Any that succeeds ends it; one that was refused (4xx) may never
    have asked the primary, and shows nothing."""

    def __init__(self, get_response: GetResponse, clock: Callable[[], float] = time.monotonic) -> None:
        self.get_response = get_response
        self._clock = clock
        self._hangs = False
        self._trying = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in ("GET", "HEAD"):
            return self.get_response(request)
        if not self._hangs:
            return self._answer(request)
        if not self._trying.acquire(blocking=False):
            return busy(request)
        try:
            return self._answer(request)
        finally:
            self._trying.release()

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        began = self._clock()
        response = self.get_response(request)
        if response.status_code < 400:
            self._note(hangs=False)
        elif response.status_code == 503 and self._clock() - began > HANGING_SECONDS:
            self._note(hangs=True)
        return response

    def _note(self, *, hangs: bool) -> None:
        global _hung_at
        self._hangs = hangs
        _hung_at = time.monotonic() if hangs else None

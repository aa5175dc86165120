"""A long-running command ends between two pieces of work when it is told to: SIGTERM from a supervisor, SIGINT from a
terminal."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_signal() -> Iterator[threading.Event]:
    """The event is set by the first SIGTERM or SIGINT; waiting on it ends at once. The handlers before are put back."""
    stopping = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Since when a copy is no longer true: what this process was told of changes, and when.

A copy remembers the tags of what it shows, and until when all changes had been heard of when its making began. It is
untrue from the first change of one of them that was discovered after that moment: what is read later from the primary
contains the change, for a change is discovered after its commit.
"""

import threading
from bisect import bisect_right
from collections.abc import Iterable

from shop import changes

_MERGED_SECONDS = 1.0  # changes of one tag closer than this are remembered as one


class Freshness:
    """Times are `time.monotonic`, the same for all processes of a machine."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._discovered: dict[str, list[float]] = {}  # by tag, ascending
        self.heard = 0  # grows with each news: as long as it is the same, what was true still is

    def hear(self, tags: frozenset[str], discovered: float) -> None:
        """A listener of `changes`."""
        with self._lock:
            for tag in tags:
                self._note(tag, discovered)
            self.heard += 1

    def _note(self, tag: str, at: float) -> None:
        times = [time for time in self._discovered.get(tag, []) if time > at - changes.KEPT_SECONDS]
        # The last one must be exact, for it decides what is true; those before only say since when something is not.
        if len(times) >= 2 and times[-2] + _MERGED_SECONDS > times[-1] < at:
            times.pop()
        self._discovered[tag] = sorted([*times, at])  # another list: a request may be reading the old one

    def untrue_since(self, *, tags: Iterable[str], began: float) -> float | None:
        """When the first change was discovered that a copy with these tags does not show; None when it is true."""
        found = []
        for tag in tags:
            times = self._discovered.get(tag)
            if times and times[-1] > began:
                found.append(times[bisect_right(times, began)])
        return min(found, default=None)


freshness = Freshness()
changes.listen(freshness.hear)

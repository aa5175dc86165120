"""How long a node has been behind without a break, as one follower saw it."""

from __future__ import annotations

from datetime import datetime, timedelta


class Patience:
    """A node that is behind for long enough says that the chain itself went back; but only if it says so again and
    again, and never anything else. Whatever comes in between starts it anew."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        self._tip_height = 0

    def is_left(self, tip_height: int, *, now: datetime, known: datetime | None, seconds: float) -> bool:
        """To be asked at each look at a tip. `known` is the moment that is written down for all followers: another one
        than ours says that somebody else has looked meanwhile. A tip that rises is catching up."""
        if self.since is None or self.since != known or tip_height > self._tip_height:
            self.since = now
        self._tip_height = tip_height
        return now - self.since < timedelta(seconds=seconds)

    def begin_anew(self) -> None:
        self.since = None

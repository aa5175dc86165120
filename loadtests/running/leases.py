"""May this worker let somebody in? It may while it holds a lease: for a moment after the conductor, asked by a sealed
message, has said that the share is still this worker's. The moment is counted from the asking, so neither a message
that was long on its way nor a process that was long stopped makes a lease longer. The conductor gives a slot away only
after every lease on it has run out: no arrival is ever two workers'.
"""

LEASE_SECONDS = 3.0  # from the asking
ASK_SECONDS = 0.5
# The conductor counts from its last answer, which was later than the asking; and two machines' clocks run differently.
GIVEN_AWAY_SECONDS = LEASE_SECONDS + 1.0


class Lease:
    """The worker's side. Times are of its own monotonic clock."""

    def __init__(self) -> None:
        self._until = float("-inf")

    def granted(self, *, asked: float) -> None:
        self._until = max(self._until, asked + LEASE_SECONDS)

    def holds(self, *, now: float) -> bool:
        return now < self._until

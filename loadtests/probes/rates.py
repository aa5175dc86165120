"""Counters that only grow, as figures of a second."""

from collections.abc import Mapping


class Rates:
    """What each counter grew by a second since the last look. A counter that was not known then has no rate yet, and
    one that went back, for its program began anew, has none this time."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}
        self._at = 0.0

    def of(self, counters: Mapping[str, float], *, at: float) -> dict[str, float]:
        """`at`: when they were read, in seconds of any clock that only goes forward."""
        passed, before = at - self._at, self._before
        self._before, self._at = dict(counters), at
        if passed <= 0:
            return {}
        grown = {name: value - before[name] for name, value in counters.items() if name in before}
        return {name: more / passed for name, more in grown.items() if more >= 0}

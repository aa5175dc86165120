"""Which visitors a worker drives, and what becomes of those whom nobody drove to the end.

Visitor `index` belongs to slot index % slots, whoever holds the slot: shares are disjoint, and each is spread evenly
over the run. A worker's number is given once in a run and never again; it is a part of its visitors' names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.frames import Frame
from loadtests.plans import Arrival
from loadtests.steps import Ending


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker is to drive: the arrivals of its slot."""

    number: int
    slot: int
    slots: int

    def of(self, arrivals: Iterable[Arrival], *, after: float = -1.0) -> list[Arrival]:
        """`after`: seconds of the run. Whoever takes over begins with the first arrival that is still to come; what was
        before that was the dead worker's, begun or not, and is nobody's any more."""
        mine = (arrival for arrival in arrivals if arrival.index % self.slots == self.slot)
        return [arrival for arrival in mine if arrival.moment > after]

    def as_json(self) -> dict[str, int]:
        return {"number": self.number, "slot": self.slot, "slots": self.slots}


def unaccounted(arrivals: Sequence[Arrival], frames: Iterable[Frame], *, why: str) -> list[Frame]:
    """What the frames leave open, as frames that close it: visitors who began and of whom nothing was heard again are
    lost, with their worker; planned arrivals that nobody made are unmet. Empty when all is accounted for."""
    present: defaultdict[int, Counter[str]] = defaultdict(Counter)
    open_arrivals = Counter(arrival.scenario for arrival in arrivals)
    last = 0
    for frame in frames:
        last = max(last, frame.at)
        present[frame.worker].update(frame.arrivals)
        for (scenario, _), count in frame.endings.items():
            present[frame.worker][scenario] -= count
        open_arrivals.subtract(frame.arrivals)
        open_arrivals.subtract(frame.unmet)
    closing = [_lost(last, worker, lost) for worker, lost in sorted(present.items()) if any((+lost).values())]
    unmet = +open_arrivals
    if unmet:
        closing.append(Frame(at=last, worker=0, unmet=unmet, notes=Counter({why: unmet.total()})))
    return closing


def _lost(at: int, worker: int, lost: Counter[str]) -> Frame:
    endings = Counter({(scenario, Ending.LOST.value): count for scenario, count in (+lost).items()})
    return Frame(at=at, worker=worker, endings=endings, notes=Counter({f"lost with worker {worker}": endings.total()}))


def links_for(share: Share, arrivals: Sequence[Arrival], links: Sequence[str], *, scenario: str) -> dict[int, str]:
    """The invitation links of the visitors of this share, by index. Each link is one visitor's, whoever drives them: a
    replacement never opens what the dead worker may have opened."""
    who = [arrival.index for arrival in arrivals if arrival.scenario == scenario]
    mine = {arrival.index for arrival in share.of(arrivals)}
    return {index: link for index, link in zip(who, links, strict=False) if index in mine}


def share_from(raw: Any) -> Share:
    return Share(**{name: int(raw[name]) for name in ("number", "slot", "slots")})

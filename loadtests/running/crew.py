"""Who drives: the workers of a run, their slots, and who takes over from whom. Decides; starts and sends nothing."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

from loadtests.running.shares import Share

# So often one slot gets somebody new: a worker that dies each time it begins is not started for ever.
REPLACEMENTS = 3


class State(Enum):
    ORDERED = "ordered"
    READY = "ready"
    DONE = "done"
    LOST = "lost"


@dataclass(slots=True)
class Member:
    """One worker. `pid` is 0 for those of other machines. `since`, `until`: seconds of the run; since is 0 for those of
    the beginning."""

    share: Share
    client: str
    host: str
    pid: int
    local: bool
    since: float
    leased: float  # when their share was last said to be theirs, by the conductor's clock
    state: State = State.ORDERED
    until: float | None = None

    @property
    def number(self) -> int:
        return self.share.number

    @property
    def slot(self) -> int:
        return self.share.slot

    @property
    def lost(self) -> bool:
        return self.state is State.LOST

    def as_json(self) -> dict[str, Any]:
        where = "here" if self.local else self.host
        whole = {"number": self.number, "slot": self.slot, "host": where, "from": self.since, "to": self.until}
        return {**whole, "lost": self.lost}


class Crew:
    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self._members: list[Member] = []
        self._replaced: Counter[int] = Counter()
        self._given_up: set[int] = set()

    def join(self, *, client: str, host: str, pid: int | None, elapsed: float, now: float) -> Member | None:
        """A new worker gets the first free slot and a number that nobody had; None: no slot is free. `pid`: of those
        whom the conductor has started itself."""
        held = {member.slot for member in self._members if not member.lost}
        free = [slot for slot in range(self.slots) if slot not in held | self._given_up]
        if not free:
            return None
        share = Share(number=len(self._members) + 1, slot=free[0], slots=self.slots)
        local = pid is not None
        self._members.append(Member(share, client, host, pid or 0, local, round(elapsed, 3), leased=now))
        return self._members[-1]

    def lose(self, member: Member, *, elapsed: float) -> bool:
        """Whether this is news: who is done cannot be lost any more, and nobody is lost twice."""
        if member.state in (State.DONE, State.LOST):
            return False
        member.state, member.until = State.LOST, round(elapsed, 3)
        return True

    def wants_replacement(self, slot: int, *, arrivals_to_come: bool) -> bool:
        """Whether somebody new is to take this slot over; otherwise it is given up."""
        self._replaced[slot] += 1
        if arrivals_to_come and self._replaced[slot] <= REPLACEMENTS:
            return True
        self._given_up.add(slot)
        return False

    def give_up_free_slots(self) -> None:
        """Nobody else is waited for."""
        held = {member.slot for member in self._members if not member.lost}
        self._given_up |= set(range(self.slots)) - held

    def ready(self, member: Member) -> None:
        member.state = State.READY

    def done(self, member: Member, *, elapsed: float) -> None:
        member.state, member.until = State.DONE, round(elapsed, 3)

    def working(self) -> list[Member]:
        return [member for member in self._members if member.state in (State.ORDERED, State.READY)]

    def by_client(self, client: str) -> Member | None:
        return next((member for member in self._members if member.client == client), None)

    def by_pid(self, pid: int) -> Member | None:
        """Of this machine's."""
        return next((member for member in self._members if member.local and member.pid == pid), None)

    def all_ready(self) -> bool:
        ready = {member.slot for member in self._members if member.state is State.READY}
        return len(ready | self._given_up) == self.slots

    def all_done(self) -> bool:
        done = {member.slot for member in self._members if member.state is State.DONE}
        return not self.working() and len(done | self._given_up) == self.slots

    def as_json(self) -> list[dict[str, Any]]:
        return [member.as_json() for member in self._members]

"""What the visitors of one run share: who they are, which links are left, which addresses were seen, who was promised a
place. Each visitor is its own greenlet; nothing here waits, so nothing here needs a lock."""

import json
import os
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from loadtests import identities
from loadtests.mailbox import Invitation
from loadtests.target import Target


class Ending(Enum):
    """How a visit ended."""

    FINISHED = "finished"
    GAVE_UP = "gave_up"  # a step they cannot do without was not answered rightly
    CUT_OFF = "cut_off"  # the run ended first


class NobodyInvited(Exception):
    """There is no link left for this visitor."""


@dataclass(slots=True)
class Crowd:
    target: Target
    run_id: str
    seed: int
    time_scale: float
    run_dir: Path | None
    request_timeout: float = 30.0
    # Bitcoin's, of their wallets: as the application is told it.
    network: str = field(default_factory=lambda: os.environ.get("STAMPEDE_BTC_NETWORK", "mainnet"))
    links: deque[Invitation] = field(default_factory=deque)
    in_flight: int = 0
    present: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)
    _next: int = 0
    _owners: dict[str, int] = field(default_factory=dict)
    _files: dict[str, TextIO] = field(default_factory=dict)

    def next_index(self) -> int:
        self._next += 1
        return self._next - 1

    def email(self, index: int) -> str:
        return identities.email(run_id=self.run_id, index=index)

    def wallets(self, index: int) -> identities.Wallets:
        return identities.wallets(seed=self.seed, run_id=self.run_id, index=index, network=self.network)

    def take_link(self) -> str:
        """An invitation link for one visitor, as a path at the target. Raises `NobodyInvited`, `ForeignHost`."""
        if not self.links:
            raise NobodyInvited("there are more visitors than invitation links")
        invitation = self.links.popleft()
        path = self.target.path_of(invitation.link)
        self._append("spent-invitations.jsonl", {"mark": invitation.mark})
        return path

    def acknowledge(self, *, email: str, promise: str) -> None:
        """A place was promised in this JSON. Written down the moment it was, so that no death of this process forgets
        it; ticket is empty and number null where the answer did not say them."""
        try:
            said = json.loads(promise)
        except ValueError:
            said = {}
        place = said if isinstance(said, dict) else {}
        ticket, number = str(place.get("ticket") or ""), place.get("number")
        self._append("acknowledged.jsonl", {"email": email, "ticket": ticket, "number": number})

    def other_owner(self, address: str, index: int) -> int | None:
        """Another visitor who was shown this address, or None."""
        owner = self._owners.setdefault(address, index)
        return None if owner == index else owner

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, line: dict[str, Any]) -> None:
        if self.run_dir is None:
            return
        if name not in self._files:
            self._files[name] = (self.run_dir / name).open("a", buffering=1)
        self._files[name].write(json.dumps(line) + "\n")

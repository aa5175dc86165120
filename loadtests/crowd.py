"""What the visitors of one generator process share: who they are, which links are theirs, what was shown to whom, and
what was promised. Nothing here waits, so nothing here needs a lock.

What must outlive this process is written down the moment it is known, a line at a time, into files of the run:
`acknowledged.jsonl` (places promised), `evidence.jsonl` (what the books must know), `sightings.jsonl` (prices seen),
`spent-invitations.jsonl`. Several processes append to the same files.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from loadtests import identities, jsonlines
from loadtests.browsing.browser import Browser
from loadtests.mailbox import Invitation
from loadtests.target import Target

# A note of the generator: what the audit was to be told is not all there. Nobody's answer is to blame for it.
NOT_KEPT = "evidence could not be written"


class NobodyInvited(Exception):
    """There is no link for this visitor."""


@dataclass(slots=True)
class Crowd:
    """`worker`: this process's number, never given again in the run. `links`: invitations by the visitor's index.
    `keep`, if given, takes the lines of evidence instead of files in `run_dir` (name of the file, line): a generator
    on another machine sends them home. `note` takes what happened that is no request's fault."""

    target: Target
    run_id: str
    seed: int
    time_scale: float
    run_dir: Path | None
    worker: int = 0
    # Bitcoin's, of their wallets: as the application is told it.
    network: str = field(default_factory=lambda: os.environ.get("STAMPEDE_BTC_NETWORK", "mainnet"))
    moving: bool = False  # the data changes during the run: what a page led to may be gone
    links: Mapping[int, Invitation] = field(default_factory=dict)
    keep: Callable[[str, dict[str, Any]], None] | None = None
    note: Callable[[str], None] = lambda text: None
    clock: Callable[[], float] = time.monotonic
    browsers: deque[Browser] = field(default_factory=lambda: deque(maxlen=1_000))  # left by people of a log
    _owners: dict[str, int] = field(default_factory=dict)
    _files: dict[str, FileIO] = field(default_factory=dict)

    def visitors_time(self) -> float:
        """Seconds as visitors feel them: their waits are shrunk by the time scale."""
        return self.clock() / self.time_scale

    def email(self, index: int) -> str:
        return identities.email(run_id=self.run_id, index=index, worker=self.worker)

    def password(self, index: int) -> str:
        return identities.password(seed=self.seed, run_id=self.run_id, index=index, worker=self.worker)

    def wallets(self, index: int) -> identities.Wallets:
        return identities.wallets(
            seed=self.seed, run_id=self.run_id, index=index, worker=self.worker, network=self.network
        )

    def take_link(self, index: int) -> str:
        """The visitor's invitation link, as a path at the target. Raises `NobodyInvited`, `ForeignHost`."""
        invitation = self.links.get(index)
        if invitation is None:
            raise NobodyInvited("there are more visitors than invitation links")
        path = self.target.path_of(invitation.link)
        self._append("spent-invitations.jsonl", {"mark": invitation.mark})
        return path

    def acknowledge(self, *, email: str, promise: str) -> None:
        """A place was promised in this JSON; ticket is empty and number null where the answer did not say them."""
        try:
            said = json.loads(promise)
        except ValueError:
            said = {}
        place = said if isinstance(said, dict) else {}
        ticket, number = str(place.get("ticket") or ""), place.get("number")
        self._append("acknowledged.jsonl", {"email": email, "ticket": ticket, "number": number})

    def told_deposits(self, *, index: int, addresses: Mapping[str, str]) -> None:
        """Somebody was told to pay to these addresses, by chain. The link is a secret: its mark stands for it."""
        invitation = self.links.get(index)
        mark = invitation.mark if invitation else ""
        self._append("evidence.jsonl", {"kind": "deposit_addresses", "mark": mark, "addresses": dict(addresses)})

    def ordered(self, *, email: str, number: str, total_cents: int) -> None:
        """An order was confirmed to this customer with this total."""
        self._append("evidence.jsonl", {"kind": "order", "number": number, "email": email, "total_cents": total_cents})

    def saw(self, *, product: str, price_cents: int, at: float | None = None) -> None:
        """A product page named this price. `at`: of time.time(), when the answer was complete."""
        at = time.time() if at is None else at
        self._append("sightings.jsonl", {"product": product, "price_cents": price_cents, "at": at})

    def other_owner(self, thing: str, index: int) -> int | None:
        """Another visitor who was shown this as theirs alone, or None."""
        owner = self._owners.setdefault(thing, index)
        return None if owner == index else owner

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, line: dict[str, Any]) -> None:
        if self.keep is not None:
            self.keep(name, line)
            return
        if self.run_dir is None:
            return
        try:
            if name not in self._files:
                self._files[name] = (self.run_dir / name).open("ab", buffering=0)
            jsonlines.append(self._files[name], line)
        except OSError as error:  # never out of a check: the answer was as it was to be
            self.note(f"{NOT_KEPT}: {name}: {error.strerror}")

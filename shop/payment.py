"""The payment provider: an outside service that takes its time, refuses, or does not answer. Slow, so never called
inside a transaction nor by a request; see `settling`.

Each charge has a key: asked twice under one, a provider takes the money once and gives the first answer again. Undoing
gives the money back, and if nothing was charged yet, nothing ever will be under that key.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from shop.models import Charge

PATIENCE_SECONDS = 8.0  # what we wait for one answer
# And the first time: whoever needs longer is asked again, behind the others (`settling`).
FIRST_PATIENCE_SECONDS = 1.0
# What can be paid with, as the provider knows it, and in words.
CARDS = {
    "test": "Test card",
    "test-refused": "Test card that is refused",
    "test-slow": "Test card whose bank answers too late",
}


class NoAnswer(Exception):
    """The provider did not answer in time. It may have taken the money: ask again, under the same key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Final: the same key never gets another, except that what is undone is not accepted any more."""

    accepted: bool
    reference: str


class Provider(Protocol):
    def charge(self, *, key: str, amount_cents: int, card: str, patience: float) -> Answer:
        """Raises `NoAnswer`, at the latest after so many seconds of `patience`."""
        ...

    def undo(self, *, key: str, patience: float) -> None:
        """Likewise."""
        ...


def provider() -> Provider:
    return Dummy(seconds=settings.PAYMENT_SECONDS, refused_percent=settings.PAYMENT_REFUSED_PERCENT)


class Dummy:
    """The provider of rehearsals: no money moves. It keeps books of its own (`Charge`) and takes the time it is told
    to; a part of the charges is refused, which ones the key decides, so that a run can be repeated."""

    def __init__(
        self, *, seconds: float = 0.0, refused_percent: int = 0, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._seconds, self._refused_percent, self._pause = seconds, refused_percent, pause

    def charge(self, *, key: str, amount_cents: int, card: str, patience: float = PATIENCE_SECONDS) -> Answer:
        known = Charge.objects.filter(key=key).first()
        if known is None:
            needed = PATIENCE_SECONDS * 2 if card == "test-slow" else self._seconds
            self._pause(min(needed, patience))
            known = self._book(key, amount_cents, Charge.State.REFUSED if self._refuses(key, card) else _ACCEPTED)
            if needed > patience:
                raise NoAnswer(f"{key}: no answer within {patience:g} s")
        return Answer(accepted=known.state == _ACCEPTED, reference=f"dummy-{known.pk}")

    def undo(self, *, key: str, patience: float = PATIENCE_SECONDS) -> None:
        self._book(key, 0, Charge.State.UNDONE)
        Charge.objects.filter(key=key).update(state=Charge.State.UNDONE)

    def _refuses(self, key: str, card: str) -> bool:
        drawn = int.from_bytes(sha256(key.encode()).digest()[:8]) % 100
        return card == "test-refused" or drawn < self._refused_percent

    @staticmethod
    def _book(key: str, amount_cents: int, state: str) -> Charge:
        """The one entry of this key; whoever comes second finds the first one's."""
        try:
            with transaction.atomic():
                return Charge.objects.create(key=key, amount_cents=amount_cents, state=state, at=timezone.now())
        except IntegrityError:
            return Charge.objects.get(key=key)


_ACCEPTED = Charge.State.ACCEPTED

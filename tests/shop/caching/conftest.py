"""A view whose renderings a test can count, hold up and fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shop import page_cache
from shop.caching import cache_policy
from shop.caching.cache_policy import Policy
from shop.caching.kept_pages import Kept
from shop.caching.making import Together
from shop.page_cache import Page, State
from tests.deadline import until


@dataclass
class Shown:
    """What stands behind one page: `text` is what the database says, `made` counts the renderings."""

    text: str = "first"
    tags: frozenset[str] = frozenset({"product:1"})
    status: int = 200
    made: int = 0
    failure: Exception | None = None
    let_go: threading.Event = field(default_factory=threading.Event)
    policy: Policy = field(default_factory=lambda: replace(cache_policy.policies()["product"], page=600, stale=60))

    def make(self) -> Page:
        self.made += 1
        body = self.text  # read first, and then it takes its time
        assert self.let_go.wait(20)
        if self.failure is not None:
            raise self.failure
        return Page(body=body, tags=self.tags, status=self.status)

    def ask(self, name: str = "/shop/p/x/") -> tuple[str, str]:
        """The text that is shown and where it came from."""
        found, state = page_cache.find(name, policy=self.policy, make=self.make)
        return (found.body.decode() if isinstance(found, Kept) else found.body), state.value

    def hold(self) -> None:
        self.let_go.clear()


@pytest.fixture
def shown() -> Iterator[Shown]:
    shown = Shown()
    shown.let_go.set()
    yield shown
    shown.let_go.set()
    until(page_cache.renewers.idle, "nothing is renewed any more", seconds=20)


def waiting(together: Together[Any]) -> int:
    """How many threads wait for what another one makes."""
    return sum(len(running.done._cond._waiters) for running in list(together._running.values()))  # type: ignore[attr-defined]


HIT, STALE, MISS = State.FRESH.value, State.STALE.value, State.COLD.value

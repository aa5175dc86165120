"""What the application tells of itself: its counters each second, the depth of its queues every few seconds.

On this machine the counters are read from the files in which the processes count, which costs the application nothing
and works when it answers nobody. Of another machine there is `/metrics`, whose reading takes one of its threads for
20 ms.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from loadtests.probes.parts import fetched
from loadtests.probes.rates import Rates

REQUESTS = "stampede_request_seconds"
# Routes that are asked by whoever watches, not by visitors.
WATCHERS = frozenset({"metrics", "healthz", "readyz"})
Sample = tuple[str, Mapping[str, str], float]
# Gauges of the books: their name, ours, and the labels that tell their values apart.
DEPTHS = {
    "stampede_queue_messages": ("queue", ("queue", "state")),
    "stampede_outbox_messages": ("outbox", ("outbox", "state")),
    "stampede_outbox_overdue_seconds": ("outbox_overdue_seconds", ("outbox",)),
    "stampede_orders_waiting_seconds": ("orders_waiting_seconds", ()),
    "stampede_line_unnumbered": ("line_unnumbered", ()),
}


def from_folder(folder: Path) -> list[Sample]:
    """The requests that all processes have counted, living and dead ones."""
    files = [str(path) for path in folder.glob("histogram_*.db")]
    families: Iterable[Any] = MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
    return [(one.name, one.labels, one.value) for family in families for one in family.samples]


def from_text(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [(one.name, one.labels, one.value) for family in families for one in family.samples]


def by_route(samples: Iterable[Sample]) -> dict[str, int]:
    """Requests answered so far, as {"route METHOD 2xx": count}; those of watchers are left out."""
    found: dict[str, int] = {}
    for name, labels, value in samples:
        if name == f"{REQUESTS}_count" and labels["route"] not in WATCHERS:
            found[f"{labels['route']} {labels['method']} {labels['outcome']}"] = int(value)
    return found


def under_way(samples: Iterable[Sample]) -> float:
    """The seconds that all requests took: what it grows by in a second is how many were being answered, on average."""
    return sum(value for name, _, value in samples if name == f"{REQUESTS}_sum")


@dataclass(slots=True)
class Application:
    """`web.busy`: how many of its threads were answering, on average; a request counts when it ends."""

    read_samples: Callable[[], list[Sample]]
    threads: int | None = None
    name: str = "application"
    clock: Callable[[], float] = time.monotonic
    _rates: Rates = field(default_factory=Rates)

    def read(self) -> dict[str, Any]:
        now = self.clock()
        samples = self.read_samples()
        routes = by_route(samples)
        failed = sum(count for kind, count in routes.items() if kind.endswith("5xx"))
        counters = {"web.requests": sum(routes.values()), "web.failed": failed, "web.busy": under_way(samples)}
        rates = self._rates.of(counters, at=now)
        return {"gauges": {**rates, **({"web.threads": self.threads} if self.threads else {}), **depths(samples)}}

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(slots=True)
class Depths:
    """Queues and outboxes, which only `/metrics` tells: seldom, for the books are read for it."""

    url: str
    name: str = "the application's own figures (/metrics)"
    every: int = 5

    def read(self) -> dict[str, Any]:
        return {"gauges": depths(from_text(fetched(self.url).decode()))}

    def close(self) -> None:
        """Each question has a connection of its own."""


def depths(samples: Iterable[Sample]) -> dict[str, float]:
    """As `outbox.sale.pending`, `queue.celery.waiting`."""
    found = {}
    for name, labels, value in samples:
        if name in DEPTHS:
            ours, told_apart = DEPTHS[name]
            found[".".join((ours, *(labels.get(label, "") for label in told_apart)))] = value
    return found

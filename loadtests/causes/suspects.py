"""Each part that may be used up: since when it was, and what shows it. A suspect is not a verdict: what is used up last
is mostly the effect of what was used up first (`loadtests/causes/__init__.py`)."""

import json
from collections.abc import Callable, Iterator

from loadtests.causes import databases
from loadtests.causes.courses import Course, above, highest, highest_of, over, usual
from loadtests.causes.scene import LABORATORY, Scene
from loadtests.causes.suspect import (
    CLOSED,
    FULL,
    OTHERS,
    Suspect,
    at_all,
    cores,
    first,
    largest_on_a_full_machine,
    number,
    share,
    then,
    when,
    whole,
)

OVERDUE_SECONDS = 30.0


def suspects(scene: Scene) -> list[Suspect]:
    return [found for look in _LOOKS for found in look(scene)]


def _generator(scene: Scene) -> Iterator[Suspect]:
    """A process of the laboratory that is itself at its end; one that takes what the target needs is the machine's."""
    cpu = scene.seen("cpu")
    since = above(cpu, FULL)
    text = (
        f"{when(since)} the busiest process of the load generator used {share(then(cpu, since))} of a processor core."
    )
    yield Suspect("generator", since, 9, text, used=highest(cpu))
    notes = (scene.results.get("generator") or {}).get("notes") or {}
    short = [name for name in notes if "out of" in str(name)]
    if short:
        text = f"The load generator was {', '.join(sorted(map(str, short)))}."
        yield Suspect("generator", 0, 9, text, refuses=True)


def _cache(scene: Scene) -> Iterator[Suspect]:
    busiest = scene.group("redis", "cpu_busiest")
    since = above(busiest, FULL)
    text = f"{when(since)} Redis, which has one thread for all, used {share(then(busiest, since))} of a processor core."
    yield Suspect("cache", since, 6, text, used=highest(busiest))
    evicted = scene.gauge("redis.evicted")
    memory = over(scene.gauge("redis.memory_bytes"), scene.gauge("redis.memory_limit_bytes"))
    since = above(evicted, 1.0)
    thrown = "" if since is None else f" and it threw away {number(then(evicted, since))} keys a second to make room"
    text = f"{when(since)} {share(then(memory, since))} of the memory that Redis may use was taken{thrown}."
    yield Suspect("cache", since, 6, text, used=highest(memory))


def _descriptors(scene: Scene) -> Iterator[Suspect]:
    for group in scene.groups:
        used = scene.group(group, "descriptors_used")
        since = above(used, CLOSED)
        what = "generator" if group == LABORATORY else "connections"
        told = f"a process of the group {group} had {share(then(used, since))} of the files and connections open"
        text = f"{when(since)} {told} that the system allows it."
        yield Suspect(what, since, 5, text, used=highest(used))


def _connections_of_the_edge(scene: Scene) -> Iterator[Suspect]:
    limit = usual(scene.gauge("nginx.limit"))
    for name, gauge, allows in (
        ("nginx", "dropped", f": it allows {whole(limit)} at a time"),
        ("Redis", "rejected", ""),
    ):
        refused = scene.gauge(f"{name.lower()}.{gauge}")
        text = (
            f"{when(at_all(refused))} {name} turned away up to {number(highest(refused))} connections a second{allows}."
        )
        yield Suspect("connections", at_all(refused), 5, text, refuses=True)
    held = over(scene.gauge("nginx.active"), limit or 0.0)
    since = above(held, CLOSED)
    text = f"{when(since)} {share(then(held, since))} of the {whole(limit)} connections that nginx allows were in use."
    yield Suspect("connections", since, 5, text, used=highest(held))
    overflows = scene.gauge("tcp.listen_overflows")
    since = above(overflows, 1.0)
    count = number(then(overflows, since))
    text = f"{when(since)} {count} connections a second found no room in the queue in which they wait to be accepted."
    yield Suspect("connections", since, 2, text)


def _workers(scene: Scene) -> Iterator[Suspect]:
    # A request counts when it ends, and then for all the seconds that it took.
    busy = [
        None if part is None else min(1.0, part) for part in over(scene.gauge("web.busy"), scene.gauge("web.threads"))
    ]
    since, count = above(busy, FULL), whole(usual(scene.gauge("web.threads")))
    text = (
        f"{when(since)} {share(then(busy, since))} of the {count} threads of the web processes were answering requests."
    )
    yield Suspect("workers", since, 3, text, used=highest(busy))
    processes = usual(scene.group("web", "processes"))
    hands = min(scene.cores, max(1.0, (processes or 2.0) - 1))  # one of them only keeps the others
    used = over(scene.group("web"), hands)
    since = first(above(used, FULL), largest_on_a_full_machine(scene, "web"))
    text = f"{when(since)} the web processes used {cores(scene, scene.group('web'), since)}."
    yield Suspect("workers", since, 3, text, used=highest(used))
    backlog = scene.gauge("web.backlog")
    since = above(backlog, 5.0)
    text = (
        f"{when(since)} {number(then(backlog, since))} connections at a time waited for a web process to accept them."
    )
    yield Suspect("workers", since, 3, text)


def _edge(scene: Scene) -> Iterator[Suspect]:
    busiest = scene.group("nginx", "cpu_busiest")
    since = first(above(busiest, FULL), largest_on_a_full_machine(scene, "nginx"))
    text = f"{when(since)} the busiest nginx process used {share(then(busiest, since))} of a processor core."
    yield Suspect("edge", since, 2, text, used=highest(busiest))
    told = json.dumps(scene.results.get("errors") or [])
    if "status 429" in told:
        since = at_all(over(scene.seen("failures"), scene.seen("requests"))) or 0
        text = f"{when(since)} requests were turned away with status 429: somebody asks too often for it."
        yield Suspect("edge", since, 2, text, refuses=True)


def _queue(scene: Scene) -> Iterator[Suspect]:
    names = [name for name in scene.probes.get("gauges") or {} if name.startswith("outbox_overdue_seconds")]
    late = highest_of(_held(scene.gauge(name)) for name in names)
    since = above(late, OVERDUE_SECONDS)
    text = (
        f"{when(since)} mails waited to be sent though they were due, the oldest for up to {number(highest(late))} s."
    )
    yield Suspect("queue", since, 1, text)


def _machine(scene: Scene) -> Iterator[Suspect]:
    """Not the target: somebody else on its machine, or who measures it there."""
    since = largest_on_a_full_machine(scene, OTHERS)
    text = f"{when(since)} programs of neither the target nor the laboratory used {cores(scene, scene.others, since)}"
    yield Suspect("machine", since, 1, text + _none_idle(since))
    since = largest_on_a_full_machine(scene, LABORATORY)
    text = f"{when(since)} the laboratory itself used {cores(scene, scene.group(LABORATORY), since)}"
    yield Suspect("machine", since, 4, text + _none_idle(since))


def _none_idle(since: int | None) -> str:
    return "." if since is None else ", more than any part of the target, and none was idle."


def _held(course: Course) -> list[float | None]:
    """What is looked at every few seconds is what it was until the next look."""
    found: list[float | None] = []
    for value in course:
        found.append(value if value is not None else (found[-1] if found else None))
    return found


_LOOKS: tuple[Callable[[Scene], Iterator[Suspect]], ...] = (
    _generator,
    databases.processors_and_locks,
    _cache,
    databases.connections,
    _connections_of_the_edge,
    _descriptors,
    _workers,
    _edge,
    _queue,
    _machine,
)

"""Each part that may be used up: since when it was, and what shows it. A suspect is not a verdict: what is used up last
is mostly the effect of what was used up first (`loadtests/causes/__init__.py`)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtests.causes.courses import Course, above, highest, highest_of, mean, often, over, usual
from loadtests.causes.scene import LABORATORY, Scene

FULL = 0.9  # of what there is: beyond this, waiting grows out of all proportion
CLOSED = 0.95  # of a limit on a number of things
CROWDED = 2.0  # queries that run at one time, for each processor
OVERDUE_SECONDS = 30.0
A_PART = 0.25  # of all processors: less is not what fills a machine
OTHERS = "others"
A_SCAN = 1_000.0  # rows read one after the other, for each query
TIMES_MORE = 5.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """`depth`: how far inside it stands; what is further inside makes what is outside wait. `refuses`: it turned
    somebody away, which no part does because another one is slow a moment later. `used`: the highest share that was
    in use, for when nothing was used up."""

    what: str
    since: int | None
    depth: int
    evidence: str
    refuses: bool = False
    used: float | None = None


def suspects(scene: Scene) -> list[Suspect]:
    return [found for look in _LOOKS for found in look(scene)]


def _generator(scene: Scene) -> Iterator[Suspect]:
    cpu = scene.seen("cpu")
    since, top = above(cpu, FULL), highest(cpu)
    text = f"its busiest process took {_share(top)} of a core"
    yield Suspect("generator", since, 9, text, used=top)
    notes = (scene.results.get("generator") or {}).get("notes") or {}
    short = [name for name in notes if "out of" in str(name)]
    if short:
        yield Suspect("generator", 0, 9, f"it was {', '.join(sorted(map(str, short)))}", refuses=True)


def _database(scene: Scene) -> Iterator[Suspect]:
    for depth, node in zip(range(8, 0, -1), scene.nodes, strict=False):
        what = "primary cpu" if node == "primary" else "replica cpu"
        cpu = scene.group(node)
        share = over(cpu, scene.cores)
        since = _first(above(share, FULL), _crowded(scene, node), _largest_on_a_full_machine(scene, node))
        yield Suspect(what, since, max(depth, 7), _of_database(scene, node, since), used=highest(share))
        yield _locks(scene, node)


def _crowded(scene: Scene, node: str) -> int | None:
    """More queries at once than processors can serve, which do not wait for each other's locks, and a server that is
    busy with them, as far as a full machine lets it."""
    running = _apart_from_locks(scene, node)
    idle = min((value for value in running if value is not None), default=0.0)
    since = above([None if value is None else (value - idle) / scene.cores for value in running], CROWDED)
    if since is None:
        return None
    busy = (mean(scene.group(node), since, 5) or 0.0) > 0.4 * scene.cores
    return since if busy or (mean(scene.host, since, 5) or 0.0) >= FULL else None


def _apart_from_locks(scene: Scene, node: str) -> list[float | None]:
    running = scene.gauge(f"mariadb.{node}.threads_running")
    waiting = scene.gauge(f"mariadb.{node}.row_locks_waited_for") or [0.0] * len(running)
    pairs = zip(running, waiting, strict=False)
    return [None if value is None else value - (locked or 0.0) for value, locked in pairs]


def _largest_on_a_full_machine(scene: Scene, name: str) -> int | None:
    """No processor was idle, and nobody took more of them than this group."""
    own = scene.others if name == OTHERS else scene.group(name)
    rest = [scene.group(other) for other in scene.groups if other != name]
    most = highest_of([*rest, [0.0] * len(scene.host) if name == OTHERS else scene.others])
    return often(
        share is not None and took is not None and share >= FULL and took >= max(A_PART * scene.cores, most[at] or 0.0)
        for at, (share, took) in enumerate(zip(scene.host, own, strict=False))
    )


def _of_database(scene: Scene, node: str, since: int | None) -> str:
    at = since or 0
    parts = [f"{node} took {_number(mean(scene.group(node), at, 10))} of {scene.cores:g} cores"]
    running = mean(scene.gauge(f"mariadb.{node}.threads_running"), at, 10)
    if running is not None:
        parts.append(f"{running:.0f} queries at a time")
    rows, queries = scene.gauge(f"mariadb.{node}.rows_scanned"), scene.gauge(f"mariadb.{node}.questions")
    each = over(rows, queries)
    before, then = usual(each, 0.2), mean(each, at, 10)
    if since is not None and then is not None and then > A_SCAN:
        grown = before is not None and then > TIMES_MORE * before
        more = f", where calm seconds have {before:,.0f}" if grown else ""
        parts.append(f"each query read {then:,.0f} rows one after the other{more}: a query without an index")
    return "; ".join(parts)


def _locks(scene: Scene, node: str) -> Suspect:
    """Most of the queries that are under way wait for others."""
    waiting, others = scene.gauge(f"mariadb.{node}.row_locks_waited_for"), _apart_from_locks(scene, node)
    most = [
        None if value is None or other is None else value if value > other else 0.0
        for value, other in zip(waiting, others, strict=False)
    ]
    since = above(most, CROWDED * scene.cores)
    text = f"{_number(mean(waiting, since or 0, 10))} transactions waited for rows that others held on {node}"
    return Suspect("locks", since, 7, text)


def _cache(scene: Scene) -> Iterator[Suspect]:
    busiest = scene.group("redis", "cpu_busiest")
    text = f"Redis, which has one thread for all, took {_share(highest(busiest))} of a core"
    yield Suspect("cache", above(busiest, FULL), 6, text, used=highest(busiest))
    evicted = scene.gauge("redis.evicted")
    memory = over(scene.gauge("redis.memory_bytes"), scene.gauge("redis.memory_limit_bytes"))
    since = above(evicted, 1.0)
    text = f"Redis threw {_number(mean(evicted, since or 0, 10))} keys a second away; {_share(highest(memory))} full"
    yield Suspect("cache", since, 6, text, used=highest(memory))


def _connections(scene: Scene) -> Iterator[Suspect]:
    for node in scene.nodes:
        refused = scene.gauge(f"mariadb.{node}.connections_refused")
        since = _any(refused)
        allowed = scene.gauge(f"mariadb.{node}.max_connections")
        limit = mean(allowed, since or 0, 3) or usual(allowed)
        text = f"{node} refused {_number(mean(refused, since or 0, 10))} connections a second: {_number(limit)} allowed"
        held = over(scene.gauge(f"mariadb.{node}.threads_connected"), allowed)
        yield Suspect("connections", since, 5, text, refuses=True)
        text = f"{_share(highest(held))} of {node}'s {_number(limit)} connections were taken"
        yield Suspect("connections", above(held, CLOSED), 5, text, used=highest(held))
    yield from _of_the_edge(scene)
    for group in scene.groups:
        used = scene.group(group, "descriptors_used")
        what = "generator" if group == LABORATORY else "connections"
        text = f"{group} had {_share(highest(used))} of the descriptors open that it may have"
        yield Suspect(what, above(used, CLOSED), 5, text, used=highest(used))


def _of_the_edge(scene: Scene) -> Iterator[Suspect]:
    dropped, rejected = scene.gauge("nginx.dropped"), scene.gauge("redis.rejected")
    limit = usual(scene.gauge("nginx.limit"))
    text = f"nginx dropped {_number(highest(dropped))} connections a second: {_number(limit)} allowed"
    yield Suspect("connections", _any(dropped), 5, text, refuses=True)
    text = f"Redis refused {_number(highest(rejected))} connections a second"
    yield Suspect("connections", _any(rejected), 5, text, refuses=True)
    held = over(scene.gauge("nginx.active"), limit or 0.0)
    text = f"{_share(highest(held))} of nginx' {_number(limit)} connections were taken"
    yield Suspect("connections", above(held, CLOSED), 5, text, used=highest(held))
    overflows = scene.gauge("tcp.listen_overflows")
    text = f"{_number(highest(overflows))} connections a second found the queue of a listening socket full"
    yield Suspect("connections", above(overflows, 1.0), 2, text)


def _workers(scene: Scene) -> Iterator[Suspect]:
    # A request counts when it ends, and then for all the seconds that it took.
    busy = [
        None if share is None else min(1.0, share)
        for share in over(scene.gauge("web.busy"), scene.gauge("web.threads"))
    ]
    count = usual(scene.gauge("web.threads"))
    text = f"{_share(highest(busy))} of the {_number(count)} threads of the web processes were answering"
    yield Suspect("workers", above(busy, FULL), 3, text, used=highest(busy))
    processes = usual(scene.group("web", "processes"))
    hands = min(scene.cores, max(1.0, (processes or 2.0) - 1))  # one of them only keeps the others
    share = over(scene.group("web"), hands)
    since = _first(above(share, FULL), _largest_on_a_full_machine(scene, "web"))
    text = f"the web processes took {_number(mean(scene.group('web'), since or 0, 10))} of {scene.cores:g} cores"
    yield Suspect("workers", since, 3, text, used=highest(share))
    backlog = scene.gauge("web.backlog")
    text = f"{_number(highest(backlog))} connections waited for a web process to take them"
    yield Suspect("workers", above(backlog, 5.0), 3, text)


def _edge(scene: Scene) -> Iterator[Suspect]:
    busiest = scene.group("nginx", "cpu_busiest")
    since = _first(above(busiest, FULL), _largest_on_a_full_machine(scene, "nginx"))
    text = f"nginx' busiest process took {_share(highest(busiest))} of a core"
    yield Suspect("edge", since, 2, text, used=highest(busiest))
    told = json.dumps(scene.results.get("errors") or [])
    if "status 429" in told:
        failing = over(scene.seen("failures"), scene.seen("requests"))
        yield Suspect("edge", _any(failing) or 0, 2, "it answered 429: somebody asks too often for it", refuses=True)


def _queue(scene: Scene) -> Iterator[Suspect]:
    names = [name for name in scene.probes.get("gauges") or {} if name.startswith("outbox_overdue_seconds")]
    late = highest_of(_held(scene.gauge(name)) for name in names)
    text = f"the oldest mail that was due waited {_number(highest(late))} s for somebody to send it"
    yield Suspect("queue", above(late, OVERDUE_SECONDS), 1, text)


def _machine(scene: Scene) -> Iterator[Suspect]:
    """Neither the target nor the laboratory: somebody else on this machine."""
    since = _largest_on_a_full_machine(scene, OTHERS)
    text = f"other programs took {_number(mean(scene.others, since or 0, 10))} of {scene.cores:g} cores"
    yield Suspect("machine", since, 1, text)
    since = _largest_on_a_full_machine(scene, LABORATORY)
    text = f"the laboratory took {_number(mean(scene.group(LABORATORY), since or 0, 10))} of {scene.cores:g} cores"
    yield Suspect("generator", since, 4, text)


def _held(course: Course) -> list[float | None]:
    """What is looked at every few seconds is what it was until the next look."""
    found: list[float | None] = []
    for value in course:
        found.append(value if value is not None else (found[-1] if found else None))
    return found


def _any(course: Course) -> int | None:
    return next((at for at, value in enumerate(course) if value), None)


def _first(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


_LOOKS: tuple[Callable[[Scene], Iterator[Suspect]], ...] = (
    _generator,
    _database,
    _cache,
    _connections,
    _workers,
    _edge,
    _queue,
    _machine,
)

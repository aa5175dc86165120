"""The databases as suspects: their processors, their locks, their connections."""

from collections.abc import Iterator

from loadtests.causes.courses import Course, above, highest, mean, over, usual
from loadtests.causes.scene import Scene
from loadtests.causes.suspect import (
    CLOSED,
    FULL,
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

CROWDED = 2.0  # queries that run at one time, for each processor
A_SCAN = 1_000.0  # rows read one after the other, for each query
TIMES_MORE = 5.0


def processors_and_locks(scene: Scene) -> Iterator[Suspect]:
    for depth, node in zip(range(8, 0, -1), scene.nodes, strict=False):
        what = "primary cpu" if node == "primary" else "replica cpu"
        used = over(scene.group(node), scene.cores)
        since = first(above(used, FULL), _crowded(scene, node), largest_on_a_full_machine(scene, node))
        yield Suspect(what, since, max(depth, 7), _told(scene, node, since), used=highest(used))
        yield _locks(scene, node)


def connections(scene: Scene) -> Iterator[Suspect]:
    for node in scene.nodes:
        refused = scene.gauge(f"mariadb.{node}.connections_refused")
        since = at_all(refused)
        allowed = scene.gauge(f"mariadb.{node}.max_connections")
        limit = mean(allowed, since or 0, 3) or usual(allowed)
        told = f"{called(node)} refused {number(then(refused, since))} new connections a second"
        text = f"{when(since)} {told}: it allows {whole(limit)} at a time."
        yield Suspect("connections", since, 5, text, refuses=True)
        # One more than it allows, it keeps for its administrator.
        held = [None if part is None else min(1.0, part) for part in over(_connected(scene, node), allowed)]
        since = above(held, CLOSED)
        told = f"{share(then(held, since))} of the {whole(limit)} connections that {called(node)} allows"
        text = f"{when(since)} {told} were in use."
        yield Suspect("connections", since, 5, text, used=highest(held))


def called(node: str) -> str:
    return "the primary database" if node == "primary" else f"the database {node}"


def _connected(scene: Scene, node: str) -> Course:
    return scene.gauge(f"mariadb.{node}.threads_connected")


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


def _told(scene: Scene, node: str, since: int | None) -> str:
    text = f"{when(since)} {called(node)} used {cores(scene, scene.group(node), since)}"
    running = then(scene.gauge(f"mariadb.{node}.threads_running"), since)
    if running is not None:
        text += f", with {running:.0f} {'query' if round(running) == 1 else 'queries'} running at a time"
    return f"{text}.{_scanned(scene, node, since)}"


def _scanned(scene: Scene, node: str, since: int | None) -> str:
    each = over(scene.gauge(f"mariadb.{node}.rows_scanned"), scene.gauge(f"mariadb.{node}.questions"))
    calm, rows = usual(each, 0.2), then(each, since)
    if since is None or rows is None or rows <= A_SCAN:
        return ""
    grown = calm is not None and rows > TIMES_MORE * calm
    beside = f", beside {calm:,.0f} in calm seconds" if grown else ""
    return (
        f" On average each query read {rows:,.0f} rows one after the other{beside}: there is a query without an index."
    )


def _locks(scene: Scene, node: str) -> Suspect:
    """Most of the queries that are under way wait for others."""
    waiting, others = scene.gauge(f"mariadb.{node}.row_locks_waited_for"), _apart_from_locks(scene, node)
    most = [
        None if value is None or other is None else value if value > other else 0.0
        for value, other in zip(waiting, others, strict=False)
    ]
    since = above(most, CROWDED * scene.cores)
    count = number(then(waiting, since))
    text = f"{when(since)} {count} transactions at a time waited for rows of {called(node)} that others had locked."
    return Suspect("locks", since, 7, text)

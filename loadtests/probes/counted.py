"""How many requests the target itself says it was asked, to be held against how many were sent.

Who stands in front counts: nginx where its status can be read, for of what its cache answers the application never
hears; else the application, all routes but those of watchers. Asked before the first arrival and after the last answer.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from loadtests.probes import metrics, parts, servers

FILE = "counted.json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Count:
    """`by`: "edge" or "application". `routes`: those of the application, as {"route METHOD 2xx": requests}; where the
    edge counts, they are what came through to it. `direct`: who counts listens on the very port that is asked, so that
    nobody answers before it."""

    by: str
    requests: int
    routes: dict[str, int] = field(default_factory=dict)
    direct: bool = False


def count(found: parts.Parts, *, own: int) -> Count | None:
    """All since the target began. `own`: how often its nginx was asked for its status before by whoever counts, each
    of which is in its count, as this question is. None when the target does not tell."""
    routes = _routes(found)
    if found.status_url is None:
        direct = found.metrics_folder is not None and set(found.ports) == {parts.WEB}
        return None if routes is None else Count("application", sum(routes.values()), routes, direct)
    url = found.status_url
    status = _told(lambda: servers.stub_status(parts.fetched(url)))
    return None if status is None else Count("edge", status[3] - own - 1, routes or {})


def between(before: Count | None, after: Count | None) -> Count | None:
    """None when the target did not tell, or began anew meanwhile and counts from 0."""
    if before is None or after is None or before.by != after.by or after.requests < before.requests:
        return None
    grown = {kind: total - before.routes.get(kind, 0) for kind, total in after.routes.items()}
    routes = {kind: more for kind, more in grown.items() if more}
    return Count(after.by, after.requests - before.requests, routes, after.direct)


def _routes(found: parts.Parts) -> dict[str, int] | None:
    folder, url = found.metrics_folder, found.metrics_url
    if folder is not None and folder.is_dir():
        return _told(lambda: metrics.by_route(metrics.from_folder(folder)))
    if url is not None:
        return _told(lambda: metrics.by_route(metrics.from_text(parts.fetched(url).decode())))
    return None


def _told(ask: Callable[[], T]) -> T | None:
    with suppress(OSError, HTTPException, ValueError):  # it is away, or is none of ours
        return ask()
    return None


def write(run_dir: Path, counted: Count | None) -> None:
    """Raises `OSError`."""
    (run_dir / FILE).write_text(json.dumps(asdict(counted) if counted else None))


def read(run_dir: Path) -> dict[str, Any] | None:
    """{by, requests, routes} of a run; None when the target did not tell."""
    try:
        found: dict[str, Any] | None = json.loads((run_dir / FILE).read_text())
    except (OSError, ValueError):
        return None
    return found

"""From lines of single readers and seconds to series on one time axis."""

from collections.abc import Iterable
from typing import Any


def series(lines: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """`at`: every second from 0 to the last one that was seen. `groups`: {group: {figure: values}}; `gauges` and
    `host`: {figure: values}. A second in which a figure was not learned has None. None when there is no line at all."""
    kept = list(lines)
    if not kept:
        return None
    seconds = 1 + max(line["at"] for line in kept)
    groups: dict[str, dict[str, list[Any]]] = {}
    gauges: dict[str, list[Any]] = {}
    host: dict[str, list[Any]] = {}
    for line in kept:
        at = line["at"]
        for name, figures in line.get("groups", {}).items():
            _put(groups.setdefault(name, {}), figures, at, seconds)
        _put(gauges, line.get("gauges", {}), at, seconds)
        _put(host, line.get("host", {}), at, seconds)
    return {"at": list(range(seconds)), "groups": groups, "gauges": gauges, "host": host}


def _put(into: dict[str, list[Any]], figures: dict[str, Any], at: int, seconds: int) -> None:
    for name, value in figures.items():
        into.setdefault(name, [None] * seconds)[at] = value

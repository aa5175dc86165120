"""The panels of what stands behind the target: each tier's processors, what waits in it, its work and its trouble."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from loadtests.report.panels import Curve, Panel, Values

MOST_CURVES = 8
# States of mails and messages in which they are still to be dealt with.
WAITING = ("outbox.*.pending", "outbox.*.claimed", "queue.*", "line_unnumbered")
# (title, note, patterns of gauges); a panel shows those with the highest values, and none that is nothing all the time.
GAUGES = (
    (
        "What waits",
        "Connections before a listener, threads at work, statements, mails and messages in line",
        ("*.backlog", "web.busy", "*.threads_running", "*.row_locks_waited_for", *WAITING),
    ),
    ("Work", "Requests, statements and operations in each second", ("*.requests", "*.questions", "redis.operations")),
    (
        "Connections",
        "Held open, tier by tier",
        ("nginx.active", "*.threads_connected", "redis.clients", "tcp.open", "tcp.time_wait"),
    ),
    (
        "Trouble",
        "In each second: refused, dropped, sent again, waited for a row, thrown out of a cache",
        (
            "web.failed",
            "nginx.dropped",
            "*.connections_refused",
            "*.row_lock_waits",
            "redis.evicted",
            "redis.rejected",
            "tcp.retransmits",
            "tcp.resets",
            "tcp.listen_*",
        ),
    ),
    ("Replicas", "How far behind the primary what they show is, in seconds", ("*.lag_seconds",)),
)


def of_probes(probes: dict[str, Any]) -> list[Panel]:
    """Those that have anything to show."""
    at = [second + 1 for second in probes["at"]]  # a second's figures belong to its end, as those of the results do
    found = [_processors(at, probes), *(_gauges(at, probes["gauges"], *one) for one in GAUGES), _memory(at, probes)]
    return [panel for panel in found if panel.curves]


def _processors(at: Values, probes: dict[str, Any]) -> Panel:
    cores = next((value for value in probes["host"].get("cores", ()) if value), 1)
    groups = {name: [_percent(value) for value in figures.get("cpu", ())] for name, figures in probes["groups"].items()}
    whole = [_percent(value, cores) for value in probes["host"].get("cpu", ())]
    curves = _highest(groups)
    if any(whole):
        curves = (*curves, Curve("whole machine", whole, "dashed", "quiet"))
    note = f"CPU of each tier, percent of a core; the machine has {cores:g}"
    return Panel("Processors", note, at, curves, unit="%", wide=True, least=100)


def _memory(at: Values, probes: dict[str, Any]) -> Panel:
    groups = {
        name: [None if value is None else round(value / 1e6, 1) for value in figures.get("rss_bytes", ())]
        for name, figures in probes["groups"].items()
    }
    return Panel(
        "Memory", "Resident memory of each tier; what processes share counts in each", at, _highest(groups), unit="MB"
    )


def _gauges(at: Values, gauges: dict[str, Values], title: str, note: str, patterns: Iterable[str]) -> Panel:
    chosen = {name: gauges[name] for name in gauges if any(fnmatchcase(name, pattern) for pattern in patterns)}
    return Panel(title, note, at, _highest(chosen))


def _highest(series: dict[str, Any]) -> tuple[Curve, ...]:
    tops = {name: max((value for value in values if value is not None), default=0) for name, values in series.items()}
    ordered = sorted((name for name in tops if tops[name] > 0), key=lambda name: -tops[name])
    return tuple(Curve(name, series[name]) for name in ordered[:MOST_CURVES])


def _percent(share: float | None, cores: float = 1) -> float | None:
    return None if share is None else round(100 * share * cores, 1)

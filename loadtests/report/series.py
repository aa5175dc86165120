"""The numbers behind the plots, as columns that uPlot takes."""

from itertools import accumulate
from typing import Any

from loadtests.histogram import BAR_RATIO
from loadtests.plans import Plan


def plotted(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    series = results["series"]
    seconds = [at + 1 for at in series["at"]]  # a second's figures belong to its end
    wrong = series["failures"]
    return {
        "latency": [seconds, series["p50"], series["p95"], series["p99"]],
        "throughput": [seconds, [n - w for n, w in zip(series["requests"], wrong, strict=True)], wrong],
        "arrivals": [[0, *seconds], [0, *accumulate(series["arrivals"])], _planned(plan, len(seconds))],
        "people": [seconds, series["present"], series["in_flight"]],
        "cpu": [seconds, [100 * share for share in series["cpu"]]],
        "histogram": _histogram(results["steps"]),
    }


def _planned(plan: Plan, seconds: int) -> list[int]:
    """How many should have arrived by the end of each second."""
    moments, arrived, planned = plan.moments(), 0, []
    for second in range(seconds + 1):
        while arrived < len(moments) and moments[arrived] <= second:
            arrived += 1
        planned.append(arrived)
    return [0, *planned[1:]]


def _histogram(steps: dict[str, Any]) -> dict[str, Any]:
    """Share of each step's right answers in each range of durations, on edges common to all steps."""
    bars = {name: dict(map(tuple, step["latency_bars"])) for name, step in steps.items() if step["latency_bars"]}
    edges = sorted({edge for heights in bars.values() for edge in heights})
    if not edges:
        return {"names": [], "columns": [[]]}
    edges = _without_holes(edges)
    columns = [[_share(heights, edge) for edge in edges] for heights in bars.values()]
    return {"names": list(bars), "columns": [edges, *columns]}


def _without_holes(edges: list[float]) -> list[float]:
    """Empty ranges belong to the picture: a gap between two humps is what one looks for."""
    filled = [edges[0] / BAR_RATIO]
    for edge in edges:
        while filled[-1] * BAR_RATIO < edge * 0.99:
            filled.append(filled[-1] * BAR_RATIO)
        filled.append(edge)
    return [*filled, filled[-1] * BAR_RATIO]


def _share(heights: dict[float, int], edge: float) -> float:
    return round(100 * heights.get(edge, 0) / sum(heights.values()), 3)

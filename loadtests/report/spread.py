"""How the durations of each step are spread, as columns that uPlot takes."""

from typing import Any

from loadtests.histogram import BAR_RATIO

MOST_STEPS = 6


def histogram(steps: dict[str, Any]) -> dict[str, Any]:
    """Share of each step's right answers in each range of durations, on edges common to all steps: of those steps that
    were taken most."""
    most = sorted(steps.items(), key=lambda item: -item[1]["success"])[:MOST_STEPS]
    bars = {name: dict(map(tuple, step["latency_bars"])) for name, step in most if step["latency_bars"]}
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

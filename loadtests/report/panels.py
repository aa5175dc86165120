"""What is plotted: panels on one time axis, as columns that uPlot takes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from loadtests.plans import Plan

Values = Sequence[float | int | None]


@dataclass(frozen=True, slots=True)
class Curve:
    label: str
    values: Values
    look: str = "line"  # line, area or dashed
    colour: str = ""  # a name of the style sheet; "" takes the next one


@dataclass(frozen=True, slots=True)
class Panel:
    """`at`: seconds of the run. `unit` stands at the axis: "ms", "%", "MB" or nothing. `least`: the top of the axis is
    this at least, so that a flat curve near nothing looks like one."""

    title: str
    note: str
    at: Values
    curves: tuple[Curve, ...]
    unit: str = ""
    wide: bool = False
    least: float = 1.0

    def as_json(self) -> dict[str, Any]:
        return {
            "columns": [list(self.at), *(list(curve.values) for curve in self.curves)],
            "curves": [
                {name: value for name, value in asdict(curve).items() if name != "values"} for curve in self.curves
            ],
            "unit": self.unit,
            "tall": self.wide,
            "least": self.least,
        }


def of_results(plan: Plan, results: dict[str, Any]) -> list[Panel]:
    """What visitors saw, and what the generator did."""
    series = results["series"]
    seconds = [at + 1 for at in series["at"]]  # a second's figures belong to its end
    wrong = series["failures"]
    right = [requests - failed for requests, failed in zip(series["requests"], wrong, strict=True)]
    planned = _planned(plan, len(seconds))
    return [
        Panel(
            "Latency",
            "Right answers only, percentiles of each second. Dashed: from the moment at which the request was to begin,"
            " had nobody been kept waiting",
            seconds,
            (
                Curve("p50", series["p50"], "area", "c1"),
                Curve("p95", series["p95"], colour="c2"),
                Curve("p99", series["p99"], colour="c3"),
                Curve("p99 intended", series["intended_p99"], "dashed", "c3"),
            ),
            unit="ms",
            wide=True,
        ),
        Panel(
            "Throughput and errors",
            "Answers in each second",
            seconds,
            (Curve("right", right, "area", "c1"), Curve("wrong", wrong, colour="c3")),
        ),
        Panel(
            "Arrivals against plan",
            "Visitors since the start; they wait for nobody",
            [0, *seconds],
            (
                Curve("arrived", [0, *accumulate(series["arrivals"])], "area", "c1"),
                Curve("planned", planned, "dashed", "c2"),
            ),
        ),
        Panel(
            "In flight",
            "Visitors present, their connections, and requests waiting for an answer",
            seconds,
            (
                Curve("visitors", series["present"], "area", "c4"),
                Curve("connections", series["connections"], "dashed", "c6"),
                Curve("requests", series["in_flight"], colour="c2"),
            ),
        ),
        Panel(
            "The generator itself",
            "CPU of its busiest process, percent of a core",
            seconds,
            (Curve("generator", [100 * share for share in series["cpu"]], "area", "c5"),),
            unit="%",
            least=100,
        ),
    ]


def _planned(plan: Plan, seconds: int) -> list[int]:
    """How many should have arrived by the end of each second; at 0, nobody."""
    moments, arrived, planned = plan.moments(), 0, [0]
    for second in range(1, seconds + 1):
        while arrived < len(moments) and moments[arrived] <= second:
            arrived += 1
        planned.append(arrived)
    return planned

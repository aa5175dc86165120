"""From the record to the page. Whatever came from a server or a file reaches the page through Django's escaping, or as
JSON in which no tag can begin."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from django.utils.safestring import SafeString, mark_safe

from loadtests import retelling
from loadtests.plans import Plan
from loadtests.report import panels, replayed, spread, tiers

HERE = Path(__file__).parent
UPLOT = HERE.parent.parent / "config" / "static" / "vendor" / "uplot"
_ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def render(record: dict[str, Any]) -> str:
    results = record["results"]
    plan = Plan.from_json(record["plan"])
    plots = _plots(plan, record) if results else []
    context = {
        "record": record,
        "plan": plan,
        "verdict": {**record["verdict"], "checks": sorted(record["verdict"]["checks"], key=_worst_first)},
        "tone": "good" if record["verdict"]["exit_code"] == 0 else "bad",
        "outcome": record["verdict"]["outcome"].replace("_", " "),
        "books": record["books"],
        "audited_at": _moment(record["books"].get("as_of")),
        "results": results,
        "started": datetime.fromtimestamp(results["started_at"], UTC) if results else None,
        "figures": _figures(results) if results else [],
        "steps": _steps(results) if results else [],
        "plateau": _steps(results["plateau"]) if results and results.get("plateau") else [],
        "plots": plots,
        "events": [event for event in record.get("events") or () if event["at"] is not None],
        "workers": record.get("workers") or (),
        "gave_way": record.get("gave_way"),
        "staleness": retelling.staleness(record),
        "certificate": retelling.certificate(record),
        "little": [_little(name, row) for name, row in (record.get("little") or {}).items()],
        "mix": _mix(record.get("mix") or {}),
        "replayed": replayed.of_record(record.get("replay")),
        "errors": results["errors"] if results else [],
        "environment": retelling.made_with(record["environment"]),
        "data": _json(_data(record, plots)) if results else None,
        "uplot_css": _own("uPlot.min.css", UPLOT),
        "uplot_js": _own("uPlot.iife.min.js", UPLOT),
        "uplot_licence": _own("LICENSE", UPLOT),
        "css": _own("report.css", HERE),
        "js": _own("report.js", HERE),
    }
    engine = Engine(dirs=[str(HERE)], autoescape=True)
    return engine.get_template("report.html").render(Context(context))


def _worst_first(check: dict[str, Any]) -> int:
    return ("broken", "unknown", "holds").index(check["mark"])


def _little(name: str, row: dict[str, Any]) -> dict[str, Any]:
    there, rate, stay, expected = (float(row[key]) for key in ("there", "rate", "stay", "expected"))
    values = [f"{there:,.3g}", f"{rate:,.3g}", _ms(stay * 1e3), f"{expected:,.3g}"]
    return {
        "name": name,
        "values": values,
        "apart": "–" if row["apart"] is None else f"{row['apart']:.1%}",
        "broken": row["holds"] is False,
    }


def _mix(mix: dict[str, Any]) -> list[dict[str, Any]]:
    """Nothing where there is one scenario: nothing was mixed."""
    if len(mix.get("planned", ())) < 2:
        return []
    return [
        {
            "name": name,
            "planned": f"{share:.1%}",
            "achieved": f"{mix['achieved'].get(name, 0):.1%}",
            "count": f"{mix['counted'].get(name, 0):,}",
        }
        for name, share in mix["planned"].items()
    ]


def _plots(plan: Plan, record: dict[str, Any]) -> list[panels.Panel]:
    probes = record.get("probes")
    return panels.of_results(plan, record["results"]) + (tiers.of_probes(probes) if probes else [])


def _data(record: dict[str, Any], plots: list[panels.Panel]) -> dict[str, Any]:
    """What the page's script draws: every panel from 0 to the same end, with the same marks."""
    results = record["results"]
    return {
        "panels": [panel.as_json() for panel in plots],
        "until": max([results["seconds"], *(at for panel in plots for at in panel.at if at is not None)]),
        "events": [[event["at"], event["text"]] for event in record.get("events") or () if event["at"] is not None],
        "phases": [[phase["name"], phase["start"], phase["end"]] for phase in results.get("phases") or ()],
        "histogram": spread.histogram(results["steps"]),
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _figures(results: dict[str, Any]) -> list[dict[str, str]]:
    total, latency = results["total"], results["total"]["latency_ms"]
    requests = sum(total[kind] for kind in ("success", "failure", "timeout", "untrue"))
    wrong = requests - total["success"]
    who = results["visitors"]
    return [
        {"name": "visitors", "value": f"{who['finished']:,}", "more": f"of {who['planned']:,} finished", "tone": ""},
        {"name": "requests", "value": f"{requests:,}", "more": f"in {results['seconds']:.0f} s", "tone": ""},
        {
            "name": "failed or untrue",
            "value": f"{wrong:,}",
            "more": f"{total['timeout']:,} time-outs among them" if wrong else "none at all",
            "tone": "bad" if wrong else "good",
        },
        {"name": "median", "value": _ms(latency["p50"]), "more": f"p95 {_ms(latency['p95'])}", "tone": ""},
        {"name": "p99", "value": _ms(latency["p99"]), "more": f"slowest {_ms(latency['max'])}", "tone": ""},
        {
            "name": "p99 intended",
            "value": _ms(total["intended_ms"]["p99"]),
            "more": "from the moment it was to begin",
            "tone": "",
        },
    ]


def _steps(results: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [(name, step) for name, step in results["steps"].items()]
    return [_row(name, step) for name, step in rows] + [{**_row("all steps", results["total"]), "total": True}]


def _row(name: str, step: dict[str, Any]) -> dict[str, Any]:
    latency = step["latency_ms"]
    return {
        "name": name,
        "right": f"{step['success']:,}",
        "wrong": [(kind, step[kind]) for kind in ("failure", "timeout", "untrue")],
        "latency": [_ms(latency[figure]) for figure in ("p50", "p90", "p95", "p99", "p99.9", "max")],
        "intended": _ms(step["intended_ms"]["p99"]),
        "total": False,
    }


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 10_000:
        return f"{value / 1e3:,.1f} s"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _json(content: Any) -> SafeString:
    return mark_safe(json.dumps(content).translate(_ESCAPED))  # noqa: S308 (no <, > or & is left in it)


def _own(name: str, folder: Path) -> SafeString:
    return mark_safe((folder / name).read_text())  # noqa: S308 (our own files)

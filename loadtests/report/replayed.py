"""The pages of a replayed log, for the report: in the log, planned and achieved, as shares of all."""

from collections.abc import Mapping
from typing import Any


def of_record(replay: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """None for a run that replayed nothing."""
    if not replay or "of" not in replay:
        return None
    of, p = replay["of"], replay["p"]
    told = (
        f"{of['chosen']:,} visits, {of['chosen_new']:.0%} of new clients, of {of['visits']:,} in {of['lines']:,} lines "
        f"of {of['hours']:.1f} h ({of['new']:.0%} new; {of['unread']:,} lines not read)"
    )
    weighted = ", ".join(f"{kind} x {factor:g}" for kind, factor in of["weights"].items())
    fit = "too few pages for a chi-square" if p is None else f"chi-square {replay['chi_square']:.2f}, p {p:.3f}"
    weights = f"; {weighted}" if weighted else ""
    return {"told": f"{told}{weights}. Planned against achieved: {fit}.", "rows": _rows(replay)}


def _rows(replay: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = (replay["of"]["log"], replay["planned"], replay["achieved"])
    whole = [sum(column.values()) or 1 for column in columns]
    return [
        {
            "name": kind,
            "shares": [f"{column.get(kind, 0) / total:.1%}" for column, total in zip(columns, whole, strict=True)],
            "count": f"{replay['achieved'].get(kind, 0):,}",
        }
        for kind in sorted(replay["planned"], key=lambda kind: -replay["planned"][kind])
    ]

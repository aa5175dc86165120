"""What the terminal and the report say of a record in a line each."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests import retelling, saying


@pytest.fixture
def record(measured: dict[str, Any]) -> dict[str, Any]:
    refused = {"kind": "failure", "error": "connecting: ECONNREFUSED"}
    errors = [
        {"step": "signup.post", **refused, "count": 9},
        {"step": "signup.position", "kind": "untrue", "error": "position rose", "count": 12},
        {"step": "resource.css", **refused, "count": 5},
        *({"step": "a", "kind": "failure", "error": f"status {n}", "count": 1} for n in (500, 502)),
    ]
    return {
        "verdict": {"outcome": "LIMITS_BROKEN", "exit_code": 1, "sentence": "Not kept.", "checks": []},
        "results": {**measured, "errors": errors, "ended_by": "interrupt"},
        "events": [{"at": 4.4, "kind": "run", "text": "interrupt: no more arrivals"}],
        "gave_way": {"what": "workers", "since": 12, "evidence": ["10 waited", "they felt it"], "also": []},
        "staleness": {
            "changes": {"price": 51, "stock": 21},
            "of_changed": 13,
            "stale": 3,
            "never_true": 0,
            "ages_ms": {"max": 5005.3},
        },
        "certificate": {"rate": 2500.0, "sessions": 8000, "at": "2026-11-21"},
    }


def test_errors_are_told_by_what_was_said_and_the_most_frequent_first(record: dict[str, Any]) -> None:
    assert retelling.errors(record) == [
        "14 x failure: connecting: ECONNREFUSED (signup.post and 1 other step)",
        "12 x untrue: position rose (signup.position)",
        "1 x failure: status 500 (a)",
        "and 1 more kinds, in the report",
    ]


def test_the_terminal_says_what_gave_way_what_went_wrong_and_who_ended_it(record: dict[str, Any]) -> None:
    console = Console(record=True, width=200)
    saying.say_verdict(record, Path("report.html"), console)
    said = console.export_text()
    for line in (
        "gave way first: workers, at 12 s: 10 waited",
        "14 x failure: connecting: ECONNREFUSED",
        "p99 intended",
        "ended by interrupt, at 4.4 s",
        "72 changes; 3 of 13 prices seen of what had changed were old, the oldest by 5.0 s",
    ):
        assert line in said


def test_of_what_a_record_lacks_nothing_is_said() -> None:
    nothing: dict[str, Any] = {"results": None}
    assert retelling.errors(nothing) == []
    assert (retelling.gave_way(nothing), retelling.staleness(nothing), retelling.ended(nothing)) == (None, None, None)
    assert retelling.certificate(nothing).startswith("none for this machine")


def test_what_it_was_made_with_is_said_in_words() -> None:
    said = retelling.made_with({"cpus": 2, "laboratory_settings": [], "python": "3.11"})
    assert said == [("processors", "2"), ("laboratory's settings", "none set"), ("python", "3.11")]

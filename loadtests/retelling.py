"""What a record says in a line each, for the terminal and for the report. Of what a record lacks nothing is said."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

# As people say what a record's keys of what it was made with are called; others are shown as they are.
_CALLED = {
    "cpus": "processors",
    "host": "machine (fingerprint)",
    "laboratory_commit": "laboratory's commit",
    "laboratory_settings": "laboratory's settings",
    "laboratory_settings_hash": "hash of the laboratory's settings",
}
MOST_ERRORS = 3


def gave_way(record: Record) -> str | None:
    """None of a run that measured nothing."""
    found = record.get("gave_way")
    if not found:
        return None
    moment = "" if found["since"] is None else f", at {found['since']} s"
    shows = [line for line in found["evidence"] if not line.endswith(":")]  # which only leads to the next one
    return f"{found['what']}{moment}: {next(iter(shows), 'nothing was watched')}"


def errors(record: Record) -> list[str]:
    """The most frequent ones first, and how many more kinds there were."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for error in (record["results"] or {}).get("errors") or ():
        found[f"{error['kind']}: {error['error']}"][error["step"]] += error["count"]
    ordered = sorted(found.items(), key=lambda one: -one[1].total())
    said = [f"{steps.total()} x {what} ({_steps(steps)})" for what, steps in ordered[:MOST_ERRORS]]
    more = len(ordered) - MOST_ERRORS
    return [*said, f"and {more} more kinds, in the report"] if more > 0 else said


def staleness(record: Record) -> str | None:
    """None where nothing moved."""
    found = record.get("staleness")
    if not found:
        return None
    never = found.get("never_true", 0)
    return (
        f"{sum(found['changes'].values())} changes; {found['stale']} of {found['of_changed']} prices seen of what had "
        f"changed were old{_oldest(found)}{f'; {never} were never true' if never else ''}"
    )


def certificate(record: Record) -> str:
    found = record.get("certificate")
    if not found:
        return "none for this machine and generator: loadtest calibrate"
    return f"{found['rate']:,.0f} requests/s and {found['sessions']:,} visitors a process, of {found['at']}"


def ended(record: Record) -> str | None:
    """By whom the run was ended; None of one that came to its plan's end."""
    by = (record["results"] or {}).get("ended_by", "plan")
    if by == "plan":
        return None
    said = (event for event in record.get("events") or () if by in event["text"] and event["at"] is not None)
    moment = next((f", at {event['at']:.1f} s" for event in said), "")
    return f"{by}{moment}"


def made_with(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run was made with: what it is called, and its value."""
    return [(_CALLED.get(name, name), _value(value)) for name, value in environment.items()]


def _steps(steps: Counter[str]) -> str:
    (most, _), *others = steps.most_common()
    return f"{most} and {len(others)} other step{'s' * (len(others) > 1)}" if others else most


def _oldest(found: Mapping[str, Any]) -> str:
    oldest = found["ages_ms"]["max"]
    return f", the oldest by {oldest / 1e3:.1f} s" if found["stale"] and oldest is not None else ""


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none set"
    return str(value)

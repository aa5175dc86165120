"""From what was measured to what it means. A pure function: the same record always gets the same verdict."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from loadtests.plans import Limits

CPU_WINDOW_SECONDS = 5


class Outcome(Enum):
    """The value is the exit code of `loadtest run`."""

    PASSED = 0
    LIMITS_BROKEN = 1
    BOOKS_WRONG = 2
    INVALID = 3


class Mark(Enum):
    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    mark: Mark
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    sentence: str
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome.name,
            "exit_code": self.outcome.value,
            "sentence": self.sentence,
            "checks": [{**asdict(check), "mark": check.mark.value} for check in self.checks],
        }


def judge(*, measured: dict[str, Any] | None, limits: Limits | tuple[str, ...], books: dict[str, Any]) -> Verdict:
    """`measured`: what the runner left (None: it left nothing). `books`: what the audit said, as `audit.run` gives it.

    Wrong books outrank everything: they are wrong however badly the load was made. Then a run that cannot be believed,
    then broken limits. A run whose books nobody looked at has not passed.
    """
    limits = limits if isinstance(limits, Limits) else Limits()
    if measured is None:
        record = (Check("the run left a record", Mark.BROKEN, "the generator ended without one"),)
        checks: tuple[Check, ...] = (*record, _books(books))
        if checks[-1].mark is not Mark.BROKEN:
            return Verdict(Outcome.INVALID, "The generator left no record: nothing was measured.", checks)
        believed, kept = False, False
    else:
        validity = (_cpu(measured, limits), _starts(measured, limits))
        performance = (_failed(measured, limits), _visitors(measured), _truth(measured))
        checks = (*performance, *validity, _books(books, visited=measured["visitors"]["finished"] > 0))
        believed = all(check.mark is Mark.HOLDS for check in validity)
        kept = all(check.mark is Mark.HOLDS for check in performance)
    return Verdict(*_outcome(checks[-1].mark, believed=believed, kept=kept), checks)


def _outcome(books: Mark, *, believed: bool, kept: bool) -> tuple[Outcome, str]:
    if books is Mark.BROKEN:
        return Outcome.BOOKS_WRONG, "The books are wrong. Nothing else about this run matters."
    if not believed:
        return Outcome.INVALID, "This run measured the generator, not the target. Its figures mean nothing."
    audited = "" if books is Mark.HOLDS else " The books were not audited."
    if not kept:
        return Outcome.LIMITS_BROKEN, f"The target was measured, and it did not keep the limits.{audited}"
    if books is Mark.UNKNOWN:
        return Outcome.INVALID, "The limits were kept, but the books were not audited: this run has not passed."
    return Outcome.PASSED, "Everybody was served, every answer was true, and the books are right."


def _failed(measured: dict[str, Any], limits: Limits) -> Check:
    total = measured["total"]
    failed = total["failure"] + total["timeout"]
    requests = failed + total["success"] + total["untrue"]
    detail = f"{failed} of {requests} requests failed ({total['timeout']} of them timed out), {limits.failed} allowed"
    return Check("no request failed", _mark(failed <= limits.failed and requests > 0), detail)


def _visitors(measured: dict[str, Any]) -> Check:
    who = measured["visitors"]
    detail = (
        f"{who['planned']} planned, {who['arrived']} arrived, {who['finished']} finished, "
        f"{who['gave_up']} gave up, {who['cut_off']} cut off"
    )
    if measured["ended_by"] != "plan":
        detail += f"; the run was ended by {measured['ended_by']}"
    return Check("all planned visitors arrived and finished", _mark(who["finished"] == who["planned"]), detail)


def _truth(measured: dict[str, Any]) -> Check:
    untrue = measured["total"]["untrue"]
    return Check("every answer was true", _mark(untrue == 0), f"{untrue} answers said something that cannot be right")


def _cpu(measured: dict[str, Any], limits: Limits) -> Check:
    busiest = busiest_window(measured["series"]["cpu"])
    allowed = f"{limits.generator_cpu:.0%} allowed"
    detail = f"the generator's busiest {CPU_WINDOW_SECONDS} s took {busiest:.0%} of a core, {allowed}"
    return Check("the generator had CPU to spare", _mark(busiest < limits.generator_cpu), detail)


def _starts(measured: dict[str, Any], limits: Limits) -> Check:
    late = measured["late_starts_ms"]["p99"]
    if late is None:
        return Check("visitors started on time", Mark.BROKEN, "nobody started")
    detail = f"p99 of late starts {late:.0f} ms, {limits.late_start_seconds * 1e3:.0f} ms allowed"
    return Check("visitors started on time", _mark(late < limits.late_start_seconds * 1e3), detail)


def _books(books: dict[str, Any], *, visited: bool = False) -> Check:
    name = "the books are right"
    if not books.get("audited"):
        return Check(name, Mark.UNKNOWN, f"books not audited: {books.get('why', 'nobody asked')}")
    invariants = books["invariants"]
    if visited and not any(invariant["checked"] for invariant in invariants):
        return Check(name, Mark.UNKNOWN, "the audited books are empty: STAMPEDE_DATA is not the target's data folder")
    broken = [str(invariant["name"]) for invariant in invariants if not invariant["holds"]]
    if broken or not books["clean"]:
        return Check(name, Mark.BROKEN, f"breached: {', '.join(broken) or 'the audit says the books are not clean'}")
    return Check(name, Mark.HOLDS, f"all {len(invariants)} invariants hold")


def busiest_window(shares: list[float]) -> float:
    """The highest mean over the window; over what there is when the run was shorter."""
    width = min(CPU_WINDOW_SECONDS, len(shares))
    if not width:
        return 0.0
    return max(sum(shares[at : at + width]) / width for at in range(len(shares) - width + 1))


def _mark(holds: bool) -> Mark:
    return Mark.HOLDS if holds else Mark.BROKEN

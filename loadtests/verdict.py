"""From what was measured to what it means. A pure function: the same record always gets the same verdict.

Wrong books outrank everything: they are wrong however badly the load was made. Then a run that cannot be believed, then
broken limits. A run whose books nobody looked at, or with a limit that nothing was measured for, has not passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from loadtests.judgement import besides, delays, validity
from loadtests.judgement.marks import Check, Mark, mark
from loadtests.judgement.windows import Finding
from loadtests.limits import parse
from loadtests.plans import Plan
from loadtests.steps import Outcome as Answers

__all__ = ["Check", "Mark", "Outcome", "Verdict", "judge"]


class Outcome(Enum):
    """The value is the exit code of `loadtest run`."""

    PASSED = 0
    LIMITS_BROKEN = 1
    BOOKS_WRONG = 2
    INVALID = 3


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


def judge(
    *,
    plan: Plan,
    results: dict[str, Any] | None,
    findings: Sequence[Finding],
    books: Mapping[str, Any],
    little: Mapping[str, Any] | None = None,
    mix: Mapping[str, Any] | None = None,
    counted: Mapping[str, Any] | None = None,
    certificate: Mapping[str, Any] | None = None,
    staleness: Mapping[str, Any] | None = None,
    replay: Mapping[str, Any] | None = None,
) -> Verdict:
    """`results`: None when nothing was measured. `findings`: of the plan's limits, by `windows.judged`. `books`: what
    the audit said, as `audit.run` gives it. The others: as the record keeps them."""
    if results is None:
        nothing = Check("the run left a record", Mark.BROKEN, "the generator ended without one")
        checks = (nothing, _books(books, visited=False))
        if checks[-1].mark is not Mark.BROKEN:
            return Verdict(Outcome.INVALID, "The generator left no record: nothing was measured.", checks)
        return Verdict(*_outcome(Mark.BROKEN, believed=Mark.BROKEN, kept=Mark.BROKEN), checks)
    kept = [*map(_limit, findings), _visitors(results, plan), _truth(results), _steady(results)]
    kept.append(_nothing_more(results))
    kept += besides.of_target(staleness=staleness)
    believed = validity.checks(results, little=little, mix=mix, counted=counted, certificate=certificate)
    believed.append(delays.check(results, plan.limits))
    who = results["visitors"]
    believed += besides.of_laboratory(moving=plan.moving, visitors=who, staleness=staleness, replay=replay)
    # A limit of the generator is one of the laboratory: broken, the run says nothing of the target.
    own = [check for check, found in zip(kept, findings, strict=False) if found.limit.metric == "cpu" and _ours(found)]
    # What the plan itself leaves nothing to judge by (a run shrunk to less than a limit's window) is said, and no more.
    moot = [check for check, found in zip(kept, findings, strict=False) if found.moot]
    worth = [check.mark for check in (*believed, *own) if check.mark is Mark.BROKEN]
    books_right = _books(books, visited=results["visitors"]["finished"] > 0)
    outcome = _outcome(
        books_right.mark,
        believed=Mark.BROKEN if worth else Mark.HOLDS,
        kept=_worst([check for check in kept if check not in own and check not in moot]),
    )
    if outcome[0] is Outcome.PASSED:
        outcome = outcome[0], _passed(results["visitors"])
    return Verdict(*outcome, (*kept, *believed, books_right))


def _ours(found: Finding) -> bool:
    return found.limit.what == "generator"


def _worst(checks: Sequence[Check]) -> Mark:
    marks = {check.mark for check in checks}
    return next((worst for worst in (Mark.BROKEN, Mark.UNKNOWN) if worst in marks), Mark.HOLDS)


def _outcome(books: Mark, *, believed: Mark, kept: Mark) -> tuple[Outcome, str]:
    if books is Mark.BROKEN:
        return Outcome.BOOKS_WRONG, "The books are wrong. Nothing else about this run matters."
    if believed is Mark.BROKEN:
        return Outcome.INVALID, "This run cannot be believed: it says more of the laboratory than of the target."
    audited = "" if books is Mark.HOLDS else " The books were not audited."
    if kept is Mark.BROKEN:
        return Outcome.LIMITS_BROKEN, f"The target was measured, and it did not keep the limits.{audited}"
    if kept is Mark.UNKNOWN:
        return Outcome.INVALID, f"Nothing was measured that one of the limits could be judged by.{audited}"
    if books is Mark.UNKNOWN:
        return Outcome.INVALID, "The limits were kept, but the books were not audited: this run has not passed."
    return Outcome.PASSED, ""


def _passed(who: Mapping[str, Any]) -> str:
    gave_up = who["planned"] - who["finished"]
    served = f"{gave_up} of {who['planned']} gave up, as the plan allows" if gave_up else "Everybody was served"
    return f"{served}, every answer was true, and the books are right."


def _limit(found: Finding) -> Check:
    holds = {True: Mark.HOLDS, False: Mark.BROKEN, None: Mark.UNKNOWN}[found.holds]
    return Check(found.limit.text, holds, found.detail)


def _visitors(results: Mapping[str, Any], plan: Plan) -> Check:
    who = results["visitors"]
    detail = (
        f"{who['planned']} planned, {who['arrived']} arrived, {who['finished']} finished, "
        f"{who['gave_up']} gave up, {who['cut_off']} cut off"
    )
    if results["ended_by"] != "plan":
        detail += f"; the run was ended by {results['ended_by']}"
    forgiven = who["gave_up"] if who["finished"] and _may_give_up(who["gave_up"], results, plan) else 0
    served = who["finished"] + forgiven == who["planned"]
    return Check("all planned visitors arrived and finished", mark(served), detail)


def _may_give_up(count: int, results: Mapping[str, Any], plan: Plan) -> bool:
    """Whoever meets a failed request gives up. So many may as would keep the plan's limits on visitors who give up and,
    as so many failed requests, those on failures of all steps."""
    answers = sum(results["total"][outcome.value] for outcome in Answers)
    of = {"failed": answers, "gave_up": results["visitors"]["arrived"]}
    limits = [limit for limit in map(parse, plan.limits) if limit.metric in of and limit.of_all]
    counted = ((limit, count / max(1, of[limit.metric]) if limit.share else count) for limit in limits)
    return bool(limits) and all(limit.kept(value) for limit, value in counted)


def _truth(results: Mapping[str, Any]) -> Check:
    untrue = results["total"]["untrue"]
    return Check("every answer was true", mark(untrue == 0), f"{untrue} answers said something that cannot be right")


def _nothing_more(results: Mapping[str, Any]) -> Check:
    """Bytes behind the end of an answer would be taken for the next one by whoever keeps the connection."""
    more = results["generator"]["notes"].get("bytes that nobody asked for", 0)
    return Check("every answer ended where it said", mark(more == 0), f"{more} answers had bytes behind their end")


STEADY_SECONDS = 9
GROWN = 2.0
GROWN_BY = 5.0


def _steady(results: Mapping[str, Any]) -> Check:
    """Is the backlog of the plateau's last third still that of its first? A target that falls behind keeps every limit
    until it does not, and the length of the run decides which."""
    name = "the plateau was steady"
    plateau = next((phase for phase in results.get("phases", ()) if phase["name"] == "plateau"), None)
    series = results["series"]["in_flight"]
    waiting = series[_up(plateau["start"]) : int(plateau["end"])] if plateau else []
    if len(waiting) < STEADY_SECONDS:
        return Check(name, Mark.HOLDS, f"{len(waiting)} s are too few to grow in")
    third = len(waiting) // 3
    before, after = sum(waiting[:third]) / third, sum(waiting[-third:]) / third
    grown = after > GROWN * before and after > before + GROWN_BY
    return Check(name, mark(not grown), f"in flight: {before:.1f} in its first third, {after:.1f} in its last")


def _up(number: float) -> int:
    return -int(-number // 1)


def _books(books: Mapping[str, Any], *, visited: bool) -> Check:
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

"""Can a run be believed? What makes it INVALID: it then says something of the laboratory, and nothing of the target."""

from collections.abc import Mapping
from typing import Any

from loadtests.judgement.marks import Check, Mark, mark

BUSIEST_CPU = 0.90  # of one core, in its busiest 5 seconds
LATE_START_SECONDS = 1.0  # p99
CERTIFIED = 0.70
UNLIKELY = 0.001
# The target's count and ours are not read in one moment; and a request that met a closing connection is asked again.
MISCOUNTED = 0.001
MISCOUNTED_BY = 3
# Notes of a generator after which its figures are not the target's.
FATAL_NOTES = (
    "out of ports",
    "out of descriptors",
    "out of buffers",
    "a scenario broke",
    "evidence could not be written",
    "messages never came of worker",
)
CUT_OFF = "requests cut off by the end"
# What ends a run without a fault of the laboratory, and without somebody's hand.
ENDS = ("plan", "hard stop", "limit broken")

Found = Mapping[str, Any]


def checks(
    results: Found, *, little: Found | None, mix: Found | None, counted: Found | None, certificate: Found | None
) -> list[Check]:
    found = [_cpu(results), _starts(results), _let_in(results), _lost(results), _notes(results)]
    return [
        *found,
        _answers(results),
        _requests(results),
        _counted(results, counted),
        *_little(little),
        _mix(mix),
        _certified(results, certificate),
    ]


def _cpu(results: Found) -> Check:
    busiest = results["generator"]["cpu_busiest"]
    detail = f"the busiest 5 s of a generator took {busiest:.0%} of a core, {BUSIEST_CPU:.0%} allowed"
    return Check("the generator had CPU to spare", mark(busiest < BUSIEST_CPU), detail)


def _starts(results: Found) -> Check:
    late = results["late_starts_ms"]["p99"]
    if late is None:
        return Check("visitors started on time", Mark.BROKEN, "nobody started")
    detail = f"p99 of late starts {late:.0f} ms, {LATE_START_SECONDS * 1e3:.0f} ms allowed"
    return Check("visitors started on time", mark(late < LATE_START_SECONDS * 1e3), detail)


def _let_in(results: Found) -> Check:
    """Who was not let in says nothing of the target: a full disk, a worker that never came, Ctrl-C, the bystander. A
    limit that stops the run is the plan's own doing."""
    name, by = "the run went to its end and everybody was let in", results["ended_by"]
    unmet = results["visitors"]["unmet"]
    if by.startswith("limit broken"):
        return Check(name, Mark.HOLDS, f"stopped by the plan ({by}); {unmet} were not let in any more")
    ended = f"; the run was ended by {by}" if by != "plan" else ""
    return Check(name, mark(unmet == 0 and by.startswith(ENDS)), f"{unmet} were not let in{ended}")


def _lost(results: Found) -> Check:
    lost = results["visitors"].get("lost", 0)
    return Check("no visitor was lost with a generator", mark(lost == 0), f"{lost} lost")


def _notes(results: Found) -> Check:
    fatal = {note: count for note, count in results["generator"]["notes"].items() if note.startswith(FATAL_NOTES)}
    said = ", ".join(f"{note} ({count})" for note, count in fatal.items())
    return Check(
        "the generator ran out of nothing", mark(not fatal), said or "ports, descriptors and scenarios sufficed"
    )


def _answers(results: Found) -> Check:
    """Each answer that came whole is in the figures, and each in the figures came. Exact: both are counted in one
    moment, by different code."""
    total, received, unfit = results["total"], results["received"], results["unfit"]
    right, untrue = total["success"], total["untrue"]
    detail = f"{received} received; counted: {right} right, {untrue} untrue, {unfit} whole and failed"
    return Check("every answer received was counted", mark(received == right + untrue + unfit), detail)


def _requests(results: Found) -> Check:
    """Each request that went out has an outcome, or was cut off by the end of the run."""
    sent, unsent = results["sent"], results["unsent"]
    ended = sum(results["total"][outcome] for outcome in ("success", "failure", "timeout", "untrue"))
    cut_off = results["generator"]["notes"].get(CUT_OFF, 0)
    detail = f"{sent} sent and {unsent} that never went out; {ended} have an outcome, {cut_off} were cut off by the end"
    return Check("every request sent has an outcome", mark(sent + unsent == ended + cut_off), detail)


def _counted(results: Found, counted: Found | None) -> Check:
    name = "the target counted what was sent"
    if counted is None:
        return Check(name, Mark.UNKNOWN, "the target does not tell")
    sent, theirs = results["sent"], int(counted["requests"])
    detail = f"{sent} sent, {theirs} counted by the {counted['by']}"
    if abs(sent - theirs) <= max(MISCOUNTED_BY, MISCOUNTED * sent):
        return Check(name, Mark.HOLDS, detail)
    if theirs > sent:
        return Check(name, Mark.UNKNOWN, f"{detail}: others asked as well")
    unheard = sent - results["received"]
    if theirs + unheard + max(MISCOUNTED_BY, MISCOUNTED * sent) >= sent:
        return Check(name, Mark.HOLDS, f"{detail}; {unheard} were never answered")
    if counted["by"] != "edge" and not counted.get("direct"):
        return Check(name, Mark.UNKNOWN, f"{detail}: what a cache before it answered, the application never hears of")
    return Check(name, Mark.BROKEN, detail)


def _little(little: Found | None) -> list[Check]:
    if little is None:
        return [Check("Little's law holds", Mark.UNKNOWN, "not worked out")]
    return [_law(what, little[what]) for what in ("requests", "visitors")]


def _law(what: str, law: Found) -> Check:
    name = f"Little's law holds for {what}"
    if law["stay"] is None or law["apart"] is None:
        return Check(name, Mark.UNKNOWN, "there were none")
    product = f"{law['rate']:.3g} a second x {law['stay']:.3g} s = {law['expected']:.3g}"
    detail = f"{law['there']:.3g} there at a time; {product}, {law['apart']:.1%} apart"
    if law["holds"] is None:
        return Check(name, Mark.UNKNOWN, f"too few or too short to say, or some never ended: {detail}")
    return Check(name, mark(law["holds"]), detail)


def _mix(mix: Found | None) -> Check:
    name = "the planned mix was achieved"
    if mix is not None and mix.get("exact") is not None:
        came = ", ".join(f"{count} {scenario}" for scenario, count in mix["counted"].items())
        return Check(name, mark(mix["exact"]), f"{came}: {'' if mix['exact'] else 'not '}as the plan drew them")
    if mix is None or mix["p"] is None:
        return Check(name, Mark.UNKNOWN, "one scenario, or too few visitors to say")
    said = ", ".join(f"{scenario} {share:.1%}" for scenario, share in mix["achieved"].items())
    return Check(name, mark(mix["p"] >= UNLIKELY), f"{said}; chi-square {mix['chi_square']:.2f}, p {mix['p']:.3f}")


def _certified(results: Found, certificate: Found | None) -> Check:
    """Beyond 70 % of what this host's generator was calibrated to, its figures are not vouched for."""
    name = "within what this host's generator is certified for"
    if certificate is None:
        return Check(name, Mark.UNKNOWN, "no certificate of this host; `manage.py loadtest calibrate` makes one")
    generator = results["generator"]
    foreign = sorted(set(generator.get("hosts", ())) - {"here"})
    if foreign:
        return Check(name, Mark.UNKNOWN, f"generators of {', '.join(foreign)} drove, which this certificate is not for")
    rate = _highest(results["series"]["requests"])
    sessions = max(results["series"]["present"], default=0)
    # More processes than were calibrated share the cores of those, and can do no more than they.
    drove, certified = generator.get("at_once", generator["workers"]), certificate.get("processes", 1)
    vouched = max(1, min(drove, certified))
    parts = (
        ("requests/s", rate / vouched, certificate["rate"]),
        ("visitors", sessions / vouched, certificate["sessions"]),
    )
    detail = "; ".join(f"{got:.0f} {what} a process of {most:.0f} certified" for what, got, most in parts)
    within = all(got <= CERTIFIED * most for _, got, most in parts)
    of = f"{drove} processes, certified with {certified}: "
    return Check(name, mark(within), f"{of}{detail}; {CERTIFIED:.0%} are vouched for")


def _highest(requests: list[int], *, seconds: int = 5) -> float:
    """The highest mean of so many seconds in a row."""
    width = min(seconds, len(requests))
    return max(
        (sum(requests[at : at + width]) / width for at in range(len(requests) - width + 1) if width), default=0.0
    )

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
# Notes of a generator after which its figures are not the target's. (Bytes that nobody asked for are the target's own.)
FATAL_NOTES = (
    "out of ports",
    "out of descriptors",
    "out of buffers",
    "a scenario broke",
    "bytes that nobody asked for",
)

Found = Mapping[str, Any]


def checks(
    results: Found, *, little: Found | None, mix: Found | None, counted: Found | None, certificate: Found | None
) -> list[Check]:
    found = [_cpu(results), _starts(results), _lost(results), _notes(results), _books_of_requests(results)]
    return [*found, _counted(results, counted), *_little(little), _mix(mix), _certified(results, certificate)]


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


def _lost(results: Found) -> Check:
    lost = results["visitors"].get("lost", 0)
    return Check("no visitor was lost with a generator", mark(lost == 0), f"{lost} lost")


def _notes(results: Found) -> Check:
    fatal = {note: count for note, count in results["generator"]["notes"].items() if note.startswith(FATAL_NOTES)}
    said = ", ".join(f"{note} ({count})" for note, count in fatal.items())
    return Check(
        "the generator ran out of nothing", mark(not fatal), said or "ports, descriptors and scenarios sufficed"
    )


def _books_of_requests(results: Found) -> Check:
    """Each right or untrue answer was received, and nothing was received that was not sent."""
    total, sent, received = results["total"], results["sent"], results["received"]
    whole = total["success"] + total["untrue"]
    unanswered = total["failure"] + total["timeout"]
    detail = f"{sent} sent, {received} received, {whole} counted as answers, {unanswered} as failed"
    return Check("what was sent was received and counted", mark(whole <= received <= sent), detail)


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
    if counted["by"] != "edge":
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
    if mix is None or mix["p"] is None:
        return Check(name, Mark.UNKNOWN, "one scenario, or too few visitors to say")
    said = ", ".join(f"{scenario} {share:.1%}" for scenario, share in mix["achieved"].items())
    return Check(name, mark(mix["p"] >= UNLIKELY), f"{said}; chi-square {mix['chi_square']:.2f}, p {mix['p']:.3f}")


def _certified(results: Found, certificate: Found | None) -> Check:
    """Beyond 70 % of what this host's generator was calibrated to, its figures are not vouched for."""
    name = "within what this host's generator is certified for"
    if certificate is None:
        return Check(name, Mark.UNKNOWN, "no certificate of this host; `manage.py loadtest calibrate` makes one")
    rate = _highest(results["series"]["requests"])
    sessions = max(results["series"]["present"], default=0)
    workers = max(1, results["generator"]["workers"])
    parts = (
        ("requests/s", rate / workers, certificate["rate"]),
        ("visitors", sessions / workers, certificate["sessions"]),
    )
    detail = "; ".join(f"{got:.0f} {what} a process of {most:.0f} certified" for what, got, most in parts)
    within = all(got <= CERTIFIED * most for _, got, most in parts)
    return Check(name, mark(within), f"{detail}; {CERTIFIED:.0%} are vouched for")


def _highest(requests: list[int], *, seconds: int = 5) -> float:
    """The highest mean of so many seconds in a row."""
    width = min(seconds, len(requests))
    return max(
        (sum(requests[at : at + width]) / width for at in range(len(requests) - width + 1) if width), default=0.0
    )

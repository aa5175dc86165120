"""What gave way first, named with what shows it. A pure function of a run's record.

A system under load is a chain in which each part waits for the one behind it: a database that has no processor left
fills the threads of the web processes, these fill the queue of their port, and that one fills the edge. So what is used
up furthest inside explains what is used up outside of it, when it was used up at about the same time or before.
"""

from collections.abc import Mapping
from typing import Any

from loadtests.causes import trouble as troubles
from loadtests.causes.scene import Scene
from loadtests.causes.suspect import Suspect
from loadtests.causes.suspects import suspects

# Within these seconds of each other two things begin together: the windows by which they are seen are 5 s long.
TOGETHER = 10
RECENT = 20
# A neighbour who takes processors makes threads and queues fill, and no database refuse or read too many rows.
SPEAKS_FOR_ITSELF = 5
NOTHING, UNKNOWN = "nothing", "unknown"


def gave_way(*, results: Mapping[str, Any] | None, probes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """{"what", "since", "evidence", "also"}; None of a run that measured nothing. `what`: edge, primary cpu, replica
    cpu, locks, connections, workers, cache, queue, machine, generator, nothing, or unknown: visitors were served worse
    and nothing that was watched shows why. `since`: a second of the run, or None. `also`: what was used up besides,
    each with the same keys."""
    if results is None:
        return None
    scene = Scene(results, probes or {})
    trouble = troubles.began(results)
    looked_at = suspects(scene)
    used_up = [one for one in looked_at if one.since is not None]
    guilty = _guilty(used_up, None if trouble is None else trouble[0])
    if guilty is None:
        return _nobody(looked_at, trouble, probes)
    told = [one.evidence for one in used_up if one.what == guilty.what and one != guilty]
    how = [] if trouble is None else [f"Visitors felt it from second {trouble[0]} on: {trouble[1]}."]
    return {
        "what": guilty.what,
        "since": guilty.since,
        "evidence": [guilty.evidence, *dict.fromkeys(told), *how],
        "also": [_said(one) for one in used_up if one.what != guilty.what],
    }


def _guilty(used_up: list[Suspect], trouble: int | None) -> Suspect | None:
    """Without trouble only what turned somebody away, what waits unseen, or a generator that cannot be believed."""
    if trouble is None:
        possible = [one for one in used_up if one.refuses or one.what in ("queue", "generator")]
    else:
        before = [one for one in used_up if _moment(one) <= trouble + TOGETHER]
        # What was used up long before did no harm for so long; it is blamed when nothing else is there to be.
        possible = [one for one in before if _moment(one) >= trouble - RECENT] or before
    if any(one.depth >= SPEAKS_FOR_ITSELF for one in possible):
        possible = [one for one in possible if one.what != "machine"]
    if not possible:
        return None
    first = min(possible, key=lambda one: (_moment(one), -one.depth))
    if first.refuses:
        return first
    together = [one for one in possible if _moment(one) <= _moment(first) + TOGETHER and not one.refuses]
    return max(together, key=lambda one: (one.depth, -_moment(one)))


def _moment(one: Suspect) -> int:
    return one.since if one.since is not None else 10**9


def _nobody(
    looked_at: list[Suspect], trouble: tuple[int, str] | None, probes: Mapping[str, Any] | None
) -> dict[str, Any]:
    nearest = sorted((one for one in looked_at if one.used is not None), key=lambda one: -(one.used or 0.0))[:3]
    evidence = [one.evidence for one in nearest]
    if trouble is None:
        said = "Visitors were served alike all along." + (" What came nearest to its end was:" if evidence else "")
        return {"what": NOTHING, "since": None, "evidence": [said, *evidence], "also": []}
    watched = "nothing that was watched was used up" if probes else "the target was not watched"
    return {
        "what": UNKNOWN,
        "since": trouble[0],
        "evidence": [f"Visitors felt it from second {trouble[0]} on: {trouble[1]}. But {watched}.", *evidence],
        "also": [_said(one) for one in looked_at if one.since is not None],
    }


def _said(one: Suspect) -> dict[str, Any]:
    return {"what": one.what, "since": one.since, "evidence": [one.evidence]}

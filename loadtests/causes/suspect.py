"""What may be used up, as a value, with the words in which it is told: whole sentences, for those who know neither this
laboratory nor the target."""

from dataclasses import dataclass

from loadtests.causes.courses import WINDOW, Course, highest, highest_of, mean, often
from loadtests.causes.scene import Scene

FULL = 0.9  # of what there is: beyond this, waiting grows out of all proportion
CLOSED = 0.95  # of a limit on a number of things
A_PART = 0.25  # of all processors: less is not what fills a machine
OTHERS = "others"
TOLD_SECONDS = 10  # over which what is told of a figure is its mean


@dataclass(frozen=True, slots=True)
class Suspect:
    """`since`: the second from which it was used up; None: it never was. `depth`: how far inside it stands; what is
    further inside makes what is outside wait. `refuses`: it turned somebody away, which no part does because another
    one is slow a moment later. `used`: the highest share that was in use, for when nothing was used up."""

    what: str
    since: int | None
    depth: int
    evidence: str
    refuses: bool = False
    used: float | None = None


def when(since: int | None) -> str:
    return f"In the busiest {WINDOW} seconds," if since is None else f"From second {since} on,"


def then(course: Course, since: int | None) -> float | None:
    """What a figure was on average from then on; at its highest when there is no such moment."""
    return highest(course) if since is None else mean(course, since, TOLD_SECONDS)


def cores(scene: Scene, course: Course, since: int | None) -> str:
    return f"{number(then(course, since))} of the machine's {scene.cores:g} processor cores"


def share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def number(value: float | None) -> str:
    return "an unknown number" if value is None else f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    return "an unknown number" if value is None else f"{value:,.0f}"


def first(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)


def at_all(course: Course) -> int | None:
    """The first second in which there was any."""
    return next((at for at, value in enumerate(course) if value), None)


def largest_on_a_full_machine(scene: Scene, name: str) -> int | None:
    """No processor was idle, and nobody took more of them than this group."""
    own = scene.others if name == OTHERS else scene.group(name)
    rest = [scene.group(other) for other in scene.groups if other != name]
    most = highest_of([*rest, [0.0] * len(scene.host) if name == OTHERS else scene.others])
    return often(
        part is not None and took is not None and part >= FULL and took >= max(A_PART * scene.cores, most[at] or 0.0)
        for at, (part, took) in enumerate(zip(scene.host, own, strict=False))
    )

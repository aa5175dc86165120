"""The course of a figure over the seconds of a run: when it rose above a mark for good, what it was on average."""

from collections.abc import Iterable, Sequence

Course = Sequence[float | None]  # by second; None: not known
WINDOW = 5  # seconds; shorter than this is a hiccup
ENOUGH = 3  # of them that must be known


def mean(course: Course, since: int = 0, seconds: int | None = None) -> float | None:
    """Of what is known; None when nothing is."""
    known = [
        value for value in course[max(0, since) : None if seconds is None else since + seconds] if value is not None
    ]
    return sum(known) / len(known) if known else None


def window_means(course: Course) -> list[float | None]:
    """For each second the mean of the window that begins with it, where enough of it is known."""
    found: list[float | None] = []
    for at in range(len(course)):
        known = [value for value in course[at : at + WINDOW] if value is not None]
        found.append(sum(known) / len(known) if len(known) >= ENOUGH else None)
    return found


def above(course: Course, mark: float) -> int | None:
    """The first second that is itself at the mark and begins a window whose mean is; None when there is none."""
    means = window_means(course)
    for at, (value, whole) in enumerate(zip(course, means, strict=True)):
        if value is not None and whole is not None and value >= mark and whole >= mark:
            return at
    return None


def often(course: Iterable[bool]) -> int | None:
    """The first second of which it is true, and of most of the window that it begins."""
    seconds = list(course)
    starts = (at for at, is_so in enumerate(seconds) if is_so and sum(seconds[at : at + WINDOW]) >= ENOUGH)
    return next(starts, None)


def longest(course: Iterable[bool]) -> int | None:
    """The first second of the longest time in which it is true: often enough, and never untrue for a whole window.
    What stands alone before it is often true is a hiccup of its own."""
    seconds = list(course)
    best: tuple[int, int | None] = (0, None)
    began, last = None, 0
    for at, is_so in enumerate([*seconds, *[False] * (WINDOW + 1)]):
        if is_so:
            began, last = at if began is None else began, at
        elif began is not None and at - last > WINDOW:
            lasted = sum(seconds[began : last + 1])
            start = often(seconds[began : last + 1])
            best = max(best, (lasted, began + (start or 0)), key=lambda one: one[0])
            began = None
    return best[1] if best[0] >= ENOUGH else None


def highest(course: Course) -> float | None:
    """The highest mean of a window."""
    return max((value for value in window_means(course) if value is not None), default=None)


def usual(course: Course, share: float = 0.5) -> float | None:
    """The value that this share of what is known does not exceed."""
    known = sorted(value for value in course if value is not None)
    return known[min(len(known) - 1, int(len(known) * share))] if known else None


def over(course: Course, whole: Course | float) -> list[float | None]:
    """One by the other, second by second; None where either is not known or there is nothing to divide by."""
    limits = [whole] * len(course) if isinstance(whole, int | float) else whole
    pairs = zip(course, limits, strict=False)
    return [value / limit if value is not None and limit else None for value, limit in pairs]


def highest_of(courses: Iterable[Course]) -> list[float | None]:
    """Second by second the highest of what is known."""
    rows = list(courses)
    length = max((len(row) for row in rows), default=0)
    found: list[float | None] = []
    for at in range(length):
        known = [value for row in rows if at < len(row) and (value := row[at]) is not None]
        found.append(max(known, default=None))
    return found

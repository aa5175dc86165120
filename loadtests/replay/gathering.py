"""Lines become visits: what one client asked for with one browser, until it was quiet for half an hour.

A visit stays whole and keeps its pauses. In memory are the visits that are going on, and one number for each client
that was ever seen (to know who comes back); everything that has ended is handed on.
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from loadtests.replay.log_lines import Hit
from loadtests.replay.rules import Rules, is_robot

GAP_SECONDS = 30 * 60.0
DISORDER_SECONDS = 60.0  # a server writes a line when its answer is out; the line of a slow one comes late
MOST_PAGES = 500  # of a visit
_HURRY_PAGES, _HURRY_SECONDS = 20, 1.0  # so many pages with less than this between them are read by nobody

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """`offset`: seconds after the visit's first page."""

    offset: float
    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class Visit:
    """`began`: seconds of the epoch, in the log's time. `new`: the log has no earlier visit of this client."""

    began: float
    new: bool
    pages: tuple[Page, ...]


@dataclass(slots=True)
class _Open:
    """A visit that is going on. `robot`: why it is none of a person, "" while nothing says so."""

    last: float
    pages: list[tuple[float, str, str]]
    robot: str = ""


@dataclass(slots=True)
class Gathered:
    """How many lines and visits were left out, by reason; how many were taken."""

    pages: int = 0
    visits: int = 0
    lines_left_out: Counter[str] = field(default_factory=Counter)
    visits_left_out: Counter[str] = field(default_factory=Counter)


def visits(hits: Iterable[Hit], rules: Rules, told: Gathered, *, gap: float = GAP_SECONDS) -> Iterator[Visit]:
    """Visits in the order in which they ended. `told` is filled on the way."""
    gathering = _Gathering(rules, told, gap)
    for hit in hits:
        yield from gathering.take(hit)
    yield from gathering.rest()


class _Gathering:
    def __init__(self, rules: Rules, told: Gathered, gap: float) -> None:
        self._rules, self._told, self._gap = rules, told, gap
        self._open: OrderedDict[Key, _Open] = OrderedDict()  # the longest quiet first
        self._seen: set[int] = set()
        self._newest = float("-inf")

    def take(self, hit: Hit) -> Iterator[Visit]:
        self._newest = max(self._newest, hit.moment)
        yield from self._quiet()
        key, reason = (hit.client, hit.agent), self._rules.why_not(hit)
        if is_robot(hit):
            self._told.lines_left_out["a robot by its own word"] += 1
            return
        if reason:
            self._told.lines_left_out[reason] += 1
            self._mark_robot(key, hit)
            return
        yield from self._add(key, hit)

    def rest(self) -> Iterator[Visit]:
        while self._open:
            yield from self._close(next(iter(self._open)))

    def _add(self, key: Key, hit: Hit) -> Iterator[Visit]:
        going = self._open.get(key)
        if going is not None and abs(hit.moment - going.last) > self._gap:
            yield from self._close(key)
            going = None
        if going is None:
            going = self._open[key] = _Open(hit.moment, [])
        going.last = max(going.last, hit.moment)
        self._open.move_to_end(key)
        if len(going.pages) > MOST_PAGES:
            going.robot = f"a visit of more than {MOST_PAGES} pages"
            self._told.lines_left_out["a page of a visit that is too long for a person's"] += 1
            return
        kind = self._rules.kind_of(hit.path)
        going.pages.append((hit.moment, hit.path, kind.name if kind else ""))

    def _mark_robot(self, key: Key, hit: Hit) -> None:
        """Whoever asks for robots.txt is none of a person, before and after: an entry without pages remembers it."""
        if hit.path.startswith("/robots.txt"):
            going = self._open.setdefault(key, _Open(hit.moment, []))
            going.robot, going.last = "asked for robots.txt", max(going.last, hit.moment)
            self._open.move_to_end(key)

    def _quiet(self) -> Iterator[Visit]:
        edge = self._newest - self._gap - DISORDER_SECONDS
        while self._open:
            key, going = next(iter(self._open.items()))
            if going.last >= edge:
                return
            yield from self._close(key)

    def _close(self, key: Key) -> Iterator[Visit]:
        going = self._open.pop(key)
        going.pages.sort(key=lambda page: page[0])  # stable: pages of one second stay as the log has them
        robot = going.robot or _hurried(going.pages)
        if not going.pages:
            return
        if robot:
            self._told.visits_left_out[robot] += 1
            return
        known = hash(key)  # eight bytes a client are enough: two of a million are mistaken in one log of 37 million
        new = known not in self._seen
        self._seen.add(known)
        self._told.visits += 1
        self._told.pages += len(going.pages)
        began = going.pages[0][0]
        yield Visit(began, new, tuple(Page(round(at - began, 3), path, kind) for at, path, kind in going.pages))


def _hurried(pages: list[tuple[float, str, str]]) -> str:
    if len(pages) < _HURRY_PAGES:
        return ""
    pauses = [later[0] - before[0] for before, later in itertools.pairwise(pages)]
    return "asked faster than anybody reads" if median(pauses) < _HURRY_SECONDS else ""

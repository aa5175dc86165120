"""A made-up access log in the combined form, the same for the same seed, whose truth is known: how many visits of how
many clients are in it, with which pages. To measure readers of logs with, and to be replayed against our shop.

People come as a Poisson process, walk from page to page by chances, pause for a time that is log-normal (half of them
below 20 s), and some come back after half an hour or later. Products are asked for by Zipf's law. Between them robots,
forms, errors and lines that are no log.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

from loadtests.replay.addresses import Addresses, made_up

_BEGAN = datetime(2026, 11, 20, 0, 0, tzinfo=UTC).timestamp()
_PAUSE_MEDIAN, _PAUSE_SPREAD, _PAUSE_MOST = 20.0, 1.0, 1_500.0  # seconds; a longer one would end the visit
_BACK_AFTER = 45 * 60.0
_BACK, _ROBOTS, _FORMS, _MISSING, _RUBBISH = 0.3, 0.05, 0.03, 0.01, 0.0005
_REMEMBERED = 20_000  # clients who may come back

_PERSONS_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
)
_ROBOTS_AGENTS = ("Mozilla/5.0 (compatible; Googlebot/2.1)", "curl/8.9.1", "-")
_RESOURCES = ("/static/shop/shop.css", "/static/shop/shop.js", "/media/p/{}.webp", "/api/cart")
# Where somebody goes from where: (page, chance).
_WAYS: dict[str, Sequence[tuple[str, float]]] = {
    "": (("home", 0.5), ("product", 0.25), ("category", 0.15), ("search", 0.1)),
    "home": (("category", 0.5), ("deals", 0.15), ("search", 0.2), ("events", 0.1), ("product", 0.05)),
    "category": (("product", 0.7), ("category", 0.3)),
    "product": (("product", 0.5), ("category", 0.3), ("search", 0.1), ("home", 0.1)),
    "search": (("product", 0.7), ("search", 0.3)),
    "deals": (("product", 0.8), ("deals", 0.2)),
    "events": (("home", 0.5), ("deals", 0.5)),
}
_GOES_ON = 0.75


@dataclass(slots=True)
class Truth:
    """What is in the lines that were written."""

    lines: int = 0
    visits: int = 0
    new: int = 0
    pages: Counter[str] = field(default_factory=Counter)
    robots: int = 0
    rubbish: int = 0


class _Line(NamedTuple):
    """`kind`: of a page; "" for what is no page. `first`: of its visit, `new` of its client."""

    moment: float
    order: int
    text: str
    kind: str = ""
    first: bool = False
    new: bool = False
    robot: bool = False


class _Client(NamedTuple):
    address: str
    agent: str


def lines(
    *, count: int, seed: int, truth: Truth, pages: Addresses | None = None, visits_a_second: float = 2.0
) -> Iterator[str]:
    """So many lines, in the order of their time; `truth` is filled on the way. Memory holds the visits that go on.
    `pages`: of the shop that people were at; None for one that never was."""
    crowd, waiting = _Crowd(seed, pages or made_up(), visits_a_second), list[_Line]()
    while truth.lines < count:
        while not waiting or waiting[0].moment >= crowd.next_arrival:
            for line in crowd.visit():
                heapq.heappush(waiting, line)
        truth.lines += 1
        if crowd.chance.random() < _RUBBISH:
            truth.rubbish += 1
            yield crowd.rubbish()
            continue
        line = heapq.heappop(waiting)
        truth.robots += line.robot
        if line.kind:
            truth.pages[line.kind] += 1
            truth.visits += line.first
            truth.new += line.first and line.new
        yield line.text


class _Crowd:
    def __init__(self, seed: int, pages: Addresses, visits_a_second: float) -> None:
        self.chance = random.Random(f"log {seed}")  # noqa: S311 (a log, not a secret)
        self.next_arrival = _BEGAN
        self._rate = visits_a_second
        self._lines = 0
        self._clients = 0
        self._gone: deque[tuple[float, _Client]] = deque(maxlen=_REMEMBERED)  # when their visit ended
        self._pages = pages
        self._popular = list(accumulate(1 / rank for rank, _ in enumerate(pages["product"], 1)))

    def visit(self) -> list[_Line]:
        """All lines of the next one who comes."""
        began = self.next_arrival
        self.next_arrival += self.chance.expovariate(self._rate)
        if self.chance.random() < _ROBOTS:
            return self._robot(began)
        client, new = self._who(began)
        made, moment, page, first = list[_Line](), began, "", True
        while first or self.chance.random() < _GOES_ON:
            moment += 0.0 if first else self._pause()
            page = self._next_page(page)
            made += self._page(client, moment, page, first, new)
            first = False
        self._gone.append((moment, client))
        return made

    def rubbish(self) -> str:
        return self.chance.choice(('\\x16\\x03\\x01 "', "-", "[error] 17#17: *1 connect() failed", '10.0.0.1 - - [] "'))

    def _who(self, now: float) -> tuple[_Client, bool]:
        if self._gone and self._gone[0][0] < now - _BACK_AFTER and self.chance.random() < _BACK:
            return self._gone.popleft()[1], False
        return self._new(_PERSONS_AGENTS), True

    def _new(self, agents: Sequence[str]) -> _Client:
        self._clients += 1
        number = self._clients
        return _Client(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", self.chance.choice(agents))

    def _next_page(self, page: str) -> str:
        ways = _WAYS[page]
        return self.chance.choices([name for name, _ in ways], [share for _, share in ways])[0]

    def _pause(self) -> float:
        drawn = self.chance.lognormvariate(0.0, _PAUSE_SPREAD) * _PAUSE_MEDIAN
        return min(max(drawn, 2.0), _PAUSE_MOST)

    def _page(self, client: _Client, moment: float, page: str, first: bool, new: bool) -> list[_Line]:
        made = [self._line(client, moment, "GET", self._address(page), 200)._replace(kind=page, first=first, new=new)]
        for resource in _RESOURCES[: self.chance.randrange(len(_RESOURCES) + 1)]:
            path = resource.format(self.chance.randrange(1_000))
            made.append(self._line(client, moment + 0.2, "GET", path, self.chance.choice((200, 304))))
        if self.chance.random() < _FORMS:
            made.append(self._line(client, moment + 1.0, "POST", "/shop/cart/add/", 303))
        if self.chance.random() < _MISSING:
            made.append(self._line(client, moment + 1.0, "GET", "/shop/p/gone/", 404))
        return made

    def _address(self, page: str) -> str:
        if page == "product":
            return self.chance.choices(self._pages[page], cum_weights=self._popular)[0]
        return self.chance.choice(self._pages[page])

    def _robot(self, began: float) -> list[_Line]:
        client = self._new(_ROBOTS_AGENTS)
        return [
            self._line(client, began + step, "GET", self._address("product"), 200)._replace(robot=True)
            for step in range(self.chance.randrange(1, 30))
        ]

    def _line(self, client: _Client, moment: float, method: str, path: str, status: int) -> _Line:
        self._lines += 1
        when = datetime.fromtimestamp(int(moment), UTC)
        size = self.chance.randrange(200, 40_000)
        text = f'{client.address} - - [{when:%d/%b/%Y:%H:%M:%S} +0000] "{method} {path} HTTP/1.1" {status} {size} "-" '
        return _Line(moment, self._lines, f'{text}"{client.agent}"')

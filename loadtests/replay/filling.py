"""Addresses for routes. Our own edge logs `/shop/p/…/`, for addresses can hold what is nobody's business; a file with
one path a line, such as another log's, says which addresses there are. With the same seed, the same log gets the same.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from loadtests.replay.gathering import Page, Visit

ELLIPSIS = "\u2026"


class NoSample(Exception):
    """The log has routes where addresses are needed, and no sample of addresses fits; the message says which."""


class Sample:
    """Paths of a target, to be drawn from. Popular ones may stand in the file several times."""

    def __init__(self, paths: Sequence[str], *, seed: int) -> None:
        self._paths = paths
        self._seed = seed
        self._of_route: dict[str, list[str]] = defaultdict(list)

    def fill(self, visits: Iterator[Visit]) -> Iterator[Visit]:
        """Raises `NoSample`."""
        for number, visit in enumerate(visits):
            if any(ELLIPSIS in page.path for page in visit.pages):
                chance = random.Random(f"addresses {self._seed} {number}")  # noqa: S311 (a sample, not a secret)
                visit = replace(visit, pages=tuple(self._filled(page, chance) for page in visit.pages))
            yield visit

    def _filled(self, page: Page, chance: random.Random) -> Page:
        if ELLIPSIS not in page.path:
            return page
        fitting = self._of_route[page.path] or self._look(page.path)
        return replace(page, path=chance.choice(fitting))

    def _look(self, route: str) -> list[str]:
        pattern = re.compile("[^/?]+".join(map(re.escape, route.split(ELLIPSIS))) + r"(\?.*)?")
        found = [path for path in self._paths if pattern.fullmatch(path)]
        if not found:
            raise NoSample(f"the log says {route} and not which; name a file of paths of this form (--urls)")
        self._of_route[route] = found
        return found


def read(path: Path | None, *, seed: int) -> Sample:
    """Raises `NoSample`."""
    return Sample(() if path is None else paths(path), seed=seed)


def paths(path: Path) -> list[str]:
    """One path a line. Raises `NoSample`."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise NoSample(f"{path} cannot be read as one path a line: {error}") from error
    wrong = next((line for line in lines if not line.startswith("/") or line.startswith("//")), None)
    if wrong is not None or not lines:
        raise NoSample(f"{path}: {wrong or 'nothing in it'} is no path; one a line, each beginning with /")
    return lines

"""Somebody of an access log comes again: the same pages, with the same pauses between them, in a browser of today."""

from collections.abc import Iterator
from itertools import pairwise

from loadtests.replay.gathering import Page, Visit
from loadtests.replay.store import opened
from loadtests.scenarios.shopper import Shopper, check_public
from loadtests.steps import GaveUp, Journey, Think

MOVED_ON = (301, 302, 303, 307, 308)  # the log has where it led as the next page


class Replay(Shopper):
    __slots__ = ()
    NAME = "replay"
    JOURNEY_SECONDS = 3600.0  # the plan of a run knows the longest of its visits

    def journey(self) -> Journey:
        visit = self.visit_of_the_log()
        if not visit.new:
            self.bring_the_browser_of_before()
        for pause, page in in_turn(visit):
            if pause:
                yield Think(pause)
            try:
                yield from self.open(page)
            except GaveUp:
                continue  # a person of a log does not know that this page fails today, and went on
        self.crowd.browsers.append(self.browser)

    def visit_of_the_log(self) -> Visit:
        if self.crowd.run_dir is None:
            raise GaveUp("the visits of the log are on another machine")
        try:
            return opened(self.crowd.run_dir).visit(self.index)
        except (OSError, ValueError, IndexError) as error:
            raise GaveUp(f"no visit to replay: {error}") from error

    def bring_the_browser_of_before(self) -> None:
        """Who comes back has kept what was kept: the browser of somebody who was here in this run."""
        if self.crowd.browsers:
            self.browser = self.crowd.browsers.popleft()
        else:
            self.crowd.note("came back, and nobody had left a browser yet")

    def open(self, page: Page) -> Journey:
        gone = (404,) if self.crowd.moving else ()
        check = self.check_product(page.path) if page.path.startswith("/shop/p/") else check_public
        if page.path.startswith("/shop/"):
            yield from self.shop_page(page.kind, page.path, check=check, also=MOVED_ON + gone)
        else:
            yield from self.page(self.named(page.kind), page.path, check=check, also=MOVED_ON + gone)


def in_turn(visit: Visit) -> Iterator[tuple[float, Page]]:
    """Each page with the pause before it, in seconds."""
    yield 0.0, visit.pages[0]
    for before, page in pairwise(visit.pages):
        yield page.offset - before.offset, page

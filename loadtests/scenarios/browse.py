"""Somebody looks around in the shop: from shelf to shelf, and into what they like. No account, no cart."""

from loadtests.scenarios.shopper import Shopper
from loadtests.steps import Journey

MOST_SHELVES = 5


class Browse(Shopper):
    __slots__ = ()
    NAME = "browse"
    JOURNEY_SECONDS = MOST_SHELVES * (15 + 8 + 15.0)

    def journey(self) -> Journey:
        yield from self.open_the_store()
        for _ in range(self.chance.randint(2, MOST_SHELVES)):
            yield from self.think(5, 15)
            yield from self.open_a_shelf()
            if self.links.products:
                yield from self.think(5, 15)
                yield from self.look_at_a_product()

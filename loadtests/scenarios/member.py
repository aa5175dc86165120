"""A member of the fan club: makes an account, comes back and logs in, and goes between store, events and fan club, with
a look at what is recommended."""

from loadtests.scenarios.shopper import Shopper
from loadtests.steps import Journey

TURNS = 6


class Member(Shopper):
    __slots__ = ()
    NAME = "member"
    JOURNEY_SECONDS = 20 + 10 + 8 + TURNS * (15 + 8.0) + 5

    def journey(self) -> Journey:
        yield from self.make_an_account(then="/shop/fans/")
        yield from self.visit_the_fan_club()
        yield from self.log_out()
        yield from self.think(5, 10)
        yield from self.log_in(then="/shop/")
        yield from self.open_the_store()
        for _ in range(TURNS):
            yield from self.think(5, 15)
            yield from self.take_a_turn()
        yield from self.think(1, 5)
        yield from self.log_out()

    def take_a_turn(self) -> Journey:
        """Store, events and fan club alike; one time in ten a product and the widget beside it."""
        (go,) = self.chance.choices(
            [self.open_the_store, self.open_the_events, self.visit_the_fan_club, self.look_at_what_is_recommended],
            weights=[30, 30, 30, 10],
        )
        yield from go()

    def look_at_what_is_recommended(self) -> Journey:
        if not self.links.products:
            yield from self.open_the_store()
        yield from self.look_at_a_product()

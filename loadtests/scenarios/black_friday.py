"""The day of the deals: most come for them and look again and again, some buy, some look around, some are members."""

from loadtests.scenarios.buyer import Buyer
from loadtests.scenarios.member import Member
from loadtests.steps import Journey

LOOKS = 4


class BlackFriday(Buyer, Member):
    __slots__ = ()
    NAME = "black_friday"
    JOURNEY_SECONDS = max(Buyer.JOURNEY_SECONDS + LOOKS * 20.0, Member.JOURNEY_SECONDS)

    def journey(self) -> Journey:
        (visit,) = self.chance.choices(
            [self.hunt_for_deals, self.buy_a_deal, self.come_as_a_member], weights=[65, 20, 15]
        )
        yield from visit()

    def hunt_for_deals(self) -> Journey:
        yield from self.open_the_deals()
        for _ in range(self.chance.randint(1, LOOKS)):
            yield from self.think(3, 10)
            if self.links.products:
                yield from self.look_at_a_product()
                yield from self.think(3, 10)
            yield from self.open_the_deals()

    def buy_a_deal(self) -> Journey:
        yield from self.hunt_for_deals()
        yield from self.buy_something()

    def come_as_a_member(self) -> Journey:
        yield from Member.journey(self)

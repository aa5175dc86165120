"""What one visitor does. Each scenario runs under our sessions and under plain `locust`; none imports either."""

from loadtests.scenarios.black_friday import BlackFriday
from loadtests.scenarios.browse import Browse
from loadtests.scenarios.buyer import Buyer
from loadtests.scenarios.member import Member
from loadtests.scenarios.purchase import Purchase
from loadtests.scenarios.replay import Replay
from loadtests.scenarios.signup import Signup
from loadtests.scenarios.visitor import Visitor

SCENARIOS: dict[str, type[Visitor]] = {
    scenario.NAME: scenario for scenario in (Signup, Purchase, Browse, Member, Buyer, BlackFriday, Replay)
}

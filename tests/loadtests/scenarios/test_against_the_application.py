"""Each scenario, whole, against the real application: nothing is wrong, and everything that was to be asked was."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtests import plans
from loadtests.crowd import Crowd
from loadtests.mailbox import Mailbox
from loadtests.scenarios import SCENARIOS
from loadtests.steps import Step
from tests.loadtests.scenarios.visiting import Visit, visit

if TYPE_CHECKING:
    from tests.browser.conftest import Stage

pytestmark = pytest.mark.process

STEPS = {
    "browse": {"home", "product", "cart_badge"},
    "member": {"signup", "login", "logout", "fans", "home", "cart_badge"},
    "buyer": {
        "search",
        "suggest",
        "product",
        "cart_add",
        "cart",
        "checkout_as_guest",
        "order_post",
        "order",
        "history",
    },
    "black_friday": {"deals", "product", "cart_badge"},
}


def went_well(seen: Visit) -> Counter[str]:
    assert (seen.wrong, seen.gave_up) == ([], None)
    return Counter(seen.names)


@pytest.mark.parametrize("name", STEPS)
def test_a_visit_to_the_shop(name: str, crowd: Crowd) -> None:
    seen = visit(SCENARIOS[name](crowd, 1))
    names = went_well(seen)
    assert {f"{name}.{step}" for step in STEPS[name]} <= set(names)
    assert {"resource.css", "resource.js", "resource.image"} <= set(names)
    assert seen.thought <= SCENARIOS[name].JOURNEY_SECONDS
    parts = [step.path for step in seen.sent if step.name.startswith("resource.")]
    assert len(parts) == len(set(parts)), "what may be kept for good is asked for once"


def test_a_buyer_leaves_evidence_that_the_books_bear_out(crowd: Crowd, site: Stage) -> None:
    visit(SCENARIOS["buyer"](crowd, 7))
    assert crowd.run_dir is not None
    (order,) = map(json.loads, (crowd.run_dir / "evidence.jsonl").read_text().splitlines())
    assert order["email"] == crowd.email(7)
    assert len(site.do("orders_of", order["email"])) == 1
    sightings = (crowd.run_dir / "sightings.jsonl").read_text().splitlines()
    assert {"product", "price_cents", "at"} == set(json.loads(sightings[0]))


def test_signing_up_and_taking_part(crowd: Crowd, site: Stage) -> None:
    everybody = (0, 1, 2)
    for index in everybody:
        names = went_well(visit(SCENARIOS["signup"](crowd, index)))
        assert (names["signup.landing"], names["signup.post"], names["signup.position"]) == (1, 1, 10)
    site.do("number")
    site.do("invite")
    mine = {crowd.email(index) for index in everybody}
    invitations = [one for one in Mailbox(site.data / "mail").invitations() if one.to in mine]
    assert len(invitations) == len(everybody)
    crowd.links = dict(enumerate(invitations))
    seen = [visit(SCENARIOS["purchase"](crowd, index)) for index in (0, 1)]
    assert [went_well(one)["purchase.payment"] for one in seen] == [10, 10]
    assert crowd.run_dir is not None
    told = [json.loads(line) for line in (crowd.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert [one["mark"] for one in told] == [invitation.mark for invitation in invitations[:2]]
    # The real application takes the last for the first: what is shown is right in itself.
    first, _, last = (invitation.link for invitation in invitations)
    confused = visit(SCENARIOS["purchase"](crowd, 2), meddle=lambda step: misled(step, last, first))
    assert confused.wrong == ["purchase.payment untrue: visitor 0 was given the same BTC address"] * 10


def misled(step: Step, theirs: str, others: str) -> Step:
    mine, foreign = (link.strip("/").rpartition("/")[2] for link in (theirs, others))
    return replace(step, path=step.path.replace(mine, foreign)) if "payment" in step.name else step


def test_plans_know_every_scenario_and_allow_it_its_time() -> None:
    missing = set(SCENARIOS) - set(plans.JOURNEY_SECONDS)
    assert not missing
    short = {name for name, one in SCENARIOS.items() if plans.JOURNEY_SECONDS[name] < one.JOURNEY_SECONDS}
    assert not short

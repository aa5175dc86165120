"""A lie planted for each thing that signup and purchase claim of an answer; the small server is honest but for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.crowd import Crowd
from loadtests.mailbox import Invitation
from loadtests.scenarios.purchase import Purchase
from loadtests.scenarios.signup import Signup
from loadtests.scenarios.visitor import Visitor
from loadtests.steps import Answer
from tests.loadtests.scenarios.visiting import crowd_at, visit
from tests.loadtests.small_sale import serving

Change = Callable[[Answer], Answer]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with serving() as sale, closing(crowd_at(sale.url, run_dir=tmp_path)) as gathered:
        gathered.links = {index: Invitation(f"{sale.url}/i/token-{index}/") for index in range(4)}
        yield gathered


def says(**changes: Any) -> Change:
    return lambda answer: replace(answer, body=json.dumps({**answer.json(), **changes}).encode())


def instead(old: str, new: str) -> Change:
    return lambda answer: replace(answer, body=answer.body.replace(old.encode(), new.encode()))


def later(lie: Change) -> Change:
    """Honest the first time."""
    asked: list[Answer] = []

    def told(answer: Answer) -> Answer:
        asked.append(answer)
        return answer if len(asked) == 1 else lie(answer)

    return told


def deposits(**changes: Any) -> Change:
    def told(answer: Answer) -> Answer:
        content = answer.json()
        content["deposits"][0] |= changes
        return replace(answer, body=json.dumps(content).encode())

    return told


LIES: list[tuple[type[Visitor], str, Change, str]] = [
    (Signup, "landing", instead("/signup/", "/elsewhere/"), "no signup form"),
    (Signup, "landing", lambda answer: replace(answer, cookies=("a=b",)), "public landing page sets a cookie"),
    (Signup, "post", says(ticket=""), "no ticket"),
    (Signup, "post", says(number=-1), "the number is -1"),
    (Signup, "post", says(position_url="/api/position/other"), "position_url is not the ticket's"),
    (Signup, "position", says(state="dancing"), "unknown state"),
    (Signup, "position", later(says(number=99)), "the number changed"),
    (Signup, "position", says(number=None), "waiting without a number"),
    (Signup, "position", says(position=None), "waiting without a position"),
    (Signup, "position", says(ahead=7), "with 7 ahead"),
    (Signup, "position", later(says(position=9, ahead=8)), "position rose"),
    (Signup, "position", says(waiting="many"), "waiting is not a number"),
    (Signup, "position", says(poll_after_seconds=0), "poll_after_seconds"),
    (Purchase, "invitation", instead("terms/", "other/"), "no form to accept the terms"),
    (Purchase, "invitation", lambda answer: replace(answer, headers={"content-type": "text/html"}), "may be stored"),
    (Purchase, "terms", lambda answer: replace(answer, headers={"location": "/i/other/"}), ""),
    (Purchase, "wallet_page", instead("btc_address", "x"), "no field for the Bitcoin address"),
    (Purchase, "payment", says(state="dancing"), "unknown state"),
    (Purchase, "payment", says(allowance=3), "no allowance"),
    (Purchase, "payment", says(deposits=3), "deposits are no list"),
    (Purchase, "payment", deposits(chain="ETH"), "not one deposit address on each chain"),
    (Purchase, "payment", deposits(seen="some"), "amounts"),
    (Purchase, "payment", deposits(address="BTC-other"), "the payment page does not show the BTC address"),
    (Purchase, "payment", later(deposits(address="BTC-token")), "the deposit addresses changed"),
]


@pytest.mark.parametrize("who", [Signup, Purchase])
def test_without_a_lie_nothing_is_wrong(crowd: Crowd, who: type[Visitor]) -> None:
    seen = visit(who(crowd, 1))
    assert (seen.wrong, seen.gave_up) == ([], None)


@pytest.mark.parametrize(("who", "step", "lie", "sentence"), LIES, ids=[f"{lie[1]}: {lie[3]}" for lie in LIES])
def test_a_lie_is_found(crowd: Crowd, who: type[Visitor], step: str, lie: Change, sentence: str) -> None:
    where = f"{who.NAME}.{step}"
    found = visit(who(crowd, 1), retell=lambda sent, answer: lie(answer) if sent.name == where else answer)
    assert any(wrong.startswith(f"{where} untrue") and sentence in wrong for wrong in found.wrong), found.wrong


def test_one_ticket_number_or_address_for_two_is_found(crowd: Crowd) -> None:
    assert visit(Signup(crowd, 1)).wrong == []
    ticket = visit(Signup(crowd, 2), retell=told("signup.post", says(ticket="t1", position_url="/api/position/t1")))
    assert "visitor 1 was given the same ticket" in ticket.wrong[0]
    number = visit(Signup(crowd, 3), retell=told("signup.position", says(number=1)))
    assert "visitor 1 was given the same number 1" in number.wrong[0]
    assert visit(Purchase(crowd, 1)).wrong == []
    same = instead("token-2", "token-1")
    address = visit(Purchase(crowd, 2), retell=lambda sent, answer: same(answer) if "payment" in sent.name else answer)
    assert any("visitor 1 was given the same BTC address" in wrong for wrong in address.wrong)


def test_a_deposit_address_that_is_the_visitors_own_wallet_is_found(crowd: Crowd) -> None:
    own = instead("BTC-token-1", crowd.wallets(1).btc)
    found = visit(Purchase(crowd, 1), retell=lambda sent, answer: own(answer) if "payment" in sent.name else answer)
    assert any("the visitor's own wallet" in wrong for wrong in found.wrong)


def told(where: str, lie: Change) -> Callable[[Any, Answer], Answer]:
    return lambda sent, answer: lie(answer) if sent.name == where else answer

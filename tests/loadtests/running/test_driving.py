"""A share of a run, driven against a real server: the small one, whose faults and latencies are known."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from loadtests.running.driving import NO_WORD
from tests.loadtests.small_plan import small_plan

from ..conftest import Drive, driven
from ..small_sale import Answer, SmallSale, payment, position, right, serving

LINKS = [f"/i/token-{number}/" for number in range(5)]


def errors(measured: dict[str, Any]) -> list[str]:
    return [f"{error['step']} {error['kind']} {error['count']}: {error['error']}" for error in measured["errors"]]


def replaced(which: str, answer: Answer) -> Any:
    """The right sale, but for the requests that begin with `which`."""

    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        honest = right(method, path, form, sale)
        return answer if f"{method} {path}".startswith(which) else honest

    return script


def test_everybody_signs_up_once_and_polls_over_one_kept_connection(drive: Drive) -> None:
    with serving() as sale:
        measured = drive(sale.url, users=5)
        nobody = dict.fromkeys(("gave_up", "cut_off", "lost", "unmet"), 0)
        assert measured["visitors"] == {"planned": 5, "arrived": 5, "finished": 5, **nobody}
        assert {name: step["success"] for name, step in measured["steps"].items()} == {
            "signup.landing": 5,
            "signup.post": 5,
            "signup.position": 50,
        }
        assert errors(measured) == []
        assert sale.connections == 5
        assert sum(sale.requests.values()) == measured["total"]["success"] == 60
        assert sorted(promise["email"] for promise in measured["acknowledged"]) == sorted(sale.emails)
        assert len(set(sale.emails)) == 5


def test_everybody_takes_part_with_wallets_of_their_own(drive: Drive) -> None:
    with serving() as sale:
        measured = drive(sale.url, scenario="purchase", users=5, links=[sale.url + link for link in LINKS])
        assert errors(measured) == []
        assert measured["visitors"]["finished"] == 5
        assert measured["steps"]["purchase.payment"]["success"] == 50
        assert len(set(sale.wallets)) == 5
    spent = (measured["run_dir"] / "spent-invitations.jsonl").read_text()
    assert len(spent.splitlines()) == 5
    assert "token-" not in spent


def test_the_latency_measured_is_the_latency_there_was(drive: Drive) -> None:
    slow = Answer(200, position(number=1, ahead=0), delay=0.15)
    with serving(replaced("GET /api/position", slow)) as sale:
        measured = drive(sale.url, users=1)
    latency = measured["steps"]["signup.position"]["latency_ms"]
    assert latency["count"] == 10
    assert latency["min"] >= 150
    assert latency["p50"] < 1000


def test_fast_failures_are_failures_and_improve_no_latency(drive: Drive) -> None:
    fast = Answer(503, "busy")
    with serving(replaced("POST /signup/", fast)) as sale:
        measured = drive(sale.url, users=5)
    assert measured["visitors"]["gave_up"] == 5
    assert errors(measured) == ["signup.post failure 5: status 503, expected 202"]
    assert measured["steps"]["signup.post"]["latency_ms"]["count"] == 0
    assert measured["total"]["latency_ms"]["count"] == 5  # the landing pages
    assert measured["acknowledged"] == []


def test_a_time_out_is_a_time_out(drive: Drive) -> None:
    hanging = Answer(200, "", delay=1.5)
    with serving(replaced("GET /", hanging)) as sale:
        measured = drive(sale.url, users=2, request_timeout=0.2)
    assert measured["steps"]["signup.landing"]["timeout"] == 2, errors(measured)
    assert measured["total"]["latency_ms"]["count"] == 0
    assert measured["total"]["failure"] == 0


def test_a_connection_closed_without_an_answer_is_a_failure(drive: Drive) -> None:
    with serving(replaced("POST /signup/", Answer(0, hang_up=True))) as sale:
        measured = drive(sale.url, users=2)
    assert measured["steps"]["signup.post"]["failure"] == 2


@pytest.mark.parametrize(
    ("answer", "lie"),
    [
        (Answer(200, position(number=1, ahead=3) | {"position": 3}), "position 3 with 3 ahead"),
        (Answer(200, position(number=None, ahead=0)), "waiting without a number"),
        (Answer(200, position(number=1, ahead=0, state="lost")), "unknown state 'lost'"),
        (Answer(200, ["not", "an", "object"]), "the JSON is not an object"),
        (Answer(200, "<h1>hello</h1>"), "content type 'text/html; charset=utf-8' instead of application/json"),
    ],
)
def test_an_untrue_position_is_found(drive: Drive, answer: Answer, lie: str) -> None:
    with serving(replaced("GET /api/position", answer)) as sale:
        measured = drive(sale.url, users=1)
    assert errors(measured) == [f"signup.position untrue 10: {lie}"]
    assert measured["steps"]["signup.position"]["latency_ms"]["count"] == 0


def test_a_rising_position_and_a_changing_number_are_found(drive: Drive) -> None:
    asked = iter(range(100))

    def forgetful(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if not path.startswith("/api/position"):
            return right(method, path, form, sale)
        poll = next(asked)
        return Answer(200, position(number=7 if poll < 8 else 8, ahead=5 if poll != 4 else 6))

    with serving(forgetful) as sale:
        measured = drive(sale.url, users=1)
    assert sorted(errors(measured)) == [
        "signup.position untrue 1: position rose: 6 to 7",
        "signup.position untrue 2: the number changed from 7 to 8",
    ]


def test_an_address_given_to_two_visitors_is_found(drive: Drive) -> None:
    def careless(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if path.startswith("/api/payment/"):
            return Answer(200, payment("same"))
        page = Answer(200, "BTC-same ETH-same", {"Cache-Control": "private, no-store"})
        return page if path.endswith("/payment/") else right(method, path, form, sale)

    with serving(careless) as sale:
        measured = drive(sale.url, scenario="purchase", users=2, links=LINKS[:2])
    # Which of the two comes to that page first is not said.
    assert errors(measured) in (
        ["purchase.payment untrue 10: visitor 0 was given the same BTC address"],
        ["purchase.payment untrue 10: visitor 1 was given the same BTC address"],
    )


def test_a_redirect_off_the_host_is_refused_and_not_followed(drive: Drive) -> None:
    with serving() as bystander:
        away = Answer(303, "", {"Location": f"{bystander.url}/i/token-0/wallet/"})
        with serving(replaced("POST /i/token-0/terms/", away)) as sale:
            measured = drive(sale.url, scenario="purchase", users=1, links=LINKS[:1])
        assert bystander.connections == 0
    assert len(measured["errors"]) == 1
    assert "redirected off the target" in measured["errors"][0]["error"]
    assert measured["errors"][0]["kind"] == "untrue"


def test_a_link_to_another_host_is_refused_and_not_followed(drive: Drive) -> None:
    with serving() as bystander, serving() as sale:
        measured = drive(sale.url, scenario="purchase", users=1, links=[f"{bystander.url}/i/token-0/"])
        assert bystander.connections == 0
        assert sale.connections == 0
    assert measured["visitors"]["gave_up"] == 1


def test_secrets_of_addresses_do_not_reach_the_record(drive: Drive) -> None:
    wrong = Answer(303, "", {"Location": "/i/token-0/terms/"})
    with serving(replaced("POST /i/token-0/terms/", wrong)) as sale:
        measured = drive(sale.url, scenario="purchase", users=1, links=LINKS[:1])
    assert "token-0" not in json.dumps({**measured, "run_dir": ""})


def test_a_dead_target_ends_in_order_with_a_record(drive: Drive) -> None:
    with serving() as sale:
        url = sale.url
    measured = drive(url, users=3)
    assert measured["visitors"]["gave_up"] == 3
    assert measured["total"]["failure"] == 3


def test_a_worker_that_hears_nothing_lets_nobody_in(tmp_path: Path) -> None:
    with serving() as sale:
        plan = small_plan(users=4, host=sale.url)
        answers = iter([True, False, False, True])
        frames = driven(plan, tmp_path, {}, began=time.time(), may_begin=lambda: next(answers))
        assert len(sale.emails) == 2
    assert sum(frame.arrivals.total() for frame in frames) == 2
    assert sum(frame.unmet.total() for frame in frames) == 2
    assert sum(frame.notes[NO_WORD] for frame in frames) == 2


def test_whoever_takes_over_speaks_of_no_second_before_they_came(tmp_path: Path) -> None:
    with serving() as sale:
        plan = small_plan(users=1, host=sale.url)
        frames = driven(plan, tmp_path, {}, began=time.time() - 20)  # within the hard stop
    assert min(frame.at for frame in frames) >= 20
    assert sum(frame.arrivals.total() for frame in frames) == 1

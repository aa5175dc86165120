"""Who is replayed does what the log says, at the log's pace, with a browser of today."""

import json
import time
from pathlib import Path

import pytest

from loadtests import plans
from loadtests.crowd import Crowd
from loadtests.plans import PlanMistake
from loadtests.replay import preparing, running
from loadtests.replay.store import CHOSEN
from loadtests.scenarios.replay import Replay
from tests.loadtests.conftest import driven
from tests.loadtests.scenarios.visiting import crowd_at, visit
from tests.loadtests.small_sale import Answer, SmallSale, serving

PRODUCT = '<p class="cost figure"><strong>€12.50</strong></p>'
BADGE = {"count": 0, "signed_in": False}


def shop(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
    if path == "/api/cart":
        return Answer(200, BADGE, {"Cache-Control": "private, no-store"})
    if path == "/shop.css":
        return Answer(200, "p{}", {"Content-Type": "text/css", "Cache-Control": "max-age=600"})
    if path == "/shop/p/gone/":
        return Answer(404, "gone")
    if path == "/shop/c/old/":
        return Answer(301, "", {"Location": "/shop/c/new/"})
    return Answer(200, PRODUCT if path.startswith("/shop/p/") else "<p>here</p>")


def log(folder: Path, *lines: tuple[str, int, str]) -> Path:
    """(client, second, path) as a combined log."""
    path = folder / "access.log"
    path.write_text(
        "".join(
            f"{client} - - [21/Nov/2026:{10 + second // 3600}:{second // 60 % 60:02}:{second % 60:02} +0000] "
            f'"GET {page} HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'
            for client, second, page in lines
        )
    )
    return path


def crowd_of(url: str, folder: Path, path: Path, *, arrivals: int, notes: list[str] | None = None) -> Crowd:
    wanted = preparing.Wanted(logs=(path,), weights={})
    preparing.prepare(wanted=wanted, arrivals=range(arrivals), seed=1, run_dir=folder)
    return crowd_at(url, run_dir=folder, note=(notes if notes is not None else []).append)


def test_a_visit_is_made_again_page_by_page_with_its_pauses(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/?x=1"), ("a", 40, "/shop/c/old/"), ("a", 40, "/shop/c/new/"), ("a", 95, "/"))
    with serving(shop) as sale:
        seen = visit(Replay(crowd_of(sale.url, tmp_path, path, arrivals=1), 0))
        pages = [step.path for step in seen.sent if step.path != "/api/cart"]
    assert pages == ["/shop/?x=1", "/shop/c/old/", "/shop/c/new/", "/"]
    assert [name for name in seen.names if name.startswith("replay.") and "badge" not in name] == [
        "replay.home",
        "replay.category",
        "replay.category",
        "replay.home",
    ]
    assert (seen.thought, seen.wrong, seen.gave_up) == (95, [], None)


def test_a_page_that_fails_today_is_told_and_ends_nobodys_visit(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/p/gone/"), ("a", 9, "/shop/p/hat/"))
    with serving(shop) as sale:
        crowd = crowd_of(sale.url, tmp_path, path, arrivals=1)
        seen = visit(Replay(crowd, 0))
        crowd.close()
    assert seen.wrong == ["replay.product failure: status 404, expected 200"]
    assert seen.gave_up is None
    (sighting,) = [json.loads(line) for line in (tmp_path / "sightings.jsonl").read_text().splitlines()]
    assert (sighting["product"], sighting["price_cents"]) == ("hat", 1250)


def test_who_comes_back_brings_what_their_browser_kept(tmp_path: Path) -> None:
    def styled(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if path == "/shop/":
            return Answer(200, '<link rel="stylesheet" href="/shop.css">')
        return shop(method, path, form, sale)

    path, notes = log(tmp_path, ("a", 0, "/shop/"), ("a", 5000, "/shop/")), list[str]()
    with serving(styled) as sale:
        crowd = crowd_of(sale.url, tmp_path, path, arrivals=2, notes=notes)
        first, again = (visit(Replay(crowd, index)) for index in (0, 1))
        stranger = visit(Replay(crowd_of(sale.url, tmp_path, path, arrivals=2, notes=notes), 1))
    assert "resource.css" in first.names
    assert "resource.css" not in again.names
    assert "resource.css" in stranger.names
    assert notes == ["came back, and nobody had left a browser yet"]


def test_without_visits_nobody_pretends(tmp_path: Path) -> None:
    with serving(shop) as sale:
        assert "no visit to replay" in (visit(Replay(crowd_at(sale.url, run_dir=tmp_path), 0)).gave_up or "")
        assert "another machine" in (visit(Replay(crowd_at(sale.url), 0)).gave_up or "")
        assert not sale.requests


def plan_of(url: str, path: Path, **changes: object) -> plans.Plan:
    shape = {"rate": 50.0, "duration": None, "arrivals": "constant", "time_scale": 1.0, "seed": 7, "log": str(path)}
    return plans.make(scenario="replay", users=4, host=url, **{**shape, **changes})  # type: ignore[arg-type]


def test_a_run_replays_a_log_through_the_sessions(tmp_path: Path) -> None:
    path = log(tmp_path, *[(client, second, "/shop/") for client in "abcd" for second in (0, 1)])
    with serving(shop) as sale:
        plan = running.prepared(plan_of(sale.url, path), tmp_path)
        frames = driven(plan, tmp_path, {}, began=time.time())
    assert (plan.journey_seconds, plan.stay_seconds) == (1.0, 1.0)
    answered = sum(frame.tallies["replay.home"].outcomes.total() for frame in frames if "replay.home" in frame.tallies)
    assert answered == 8
    assert sum(frame.endings["replay", "finished"] for frame in frames) == 4
    assert preparing.achieved(run_dir=tmp_path, answered={"replay.home": answered})["achieved"] == {"home": 8}


def test_visitors_come_as_the_logs_did(tmp_path: Path) -> None:
    """Three of four in the first minute of ten."""
    seconds = [*range(0, 60, 2), *range(60, 600, 54)]
    path = log(tmp_path, *[(f"h{second}", second, "/shop/") for second in seconds], ("last", 600, "/shop/"))
    steady = running.prepared(plan_of("http://127.0.0.1:1", path, rate=None, duration=60.0), tmp_path)
    assert (steady.shape.seconds, sum(moment < 6 for moment in steady.moments())) == (60, 1)
    for curve, lasts in {"log": 60.0, "log-time": 600.0}.items():
        asked = plan_of("http://127.0.0.1:1", path, rate=None, duration=60.0, curve=curve).changed(users=410)
        plan = running.prepared(asked.changed(duration=60.0), tmp_path)
        assert plan.shape.seconds == pytest.approx(lasts)
        assert plan.shape.people == pytest.approx(410)
        moments = plan.moments()
        early = sum(moment < lasts / 10 for moment in moments)
        assert (len(moments), early) == (410, pytest.approx(410 * 30 / 41, abs=1))
        again = plans.Plan.from_json(json.loads(json.dumps(plan.as_json())))
        assert again.moments() == moments


def test_nobody_is_hurried_and_mistakes_are_the_plans(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/"))
    with pytest.raises(PlanMistake, match="nobody of a log is hurried"):
        plan_of("http://127.0.0.1:1", path, time_scale=0.5)
    with pytest.raises(PlanMistake, match="log is what the scenario replay needs"):
        plan_of("http://127.0.0.1:1", Path(), log="")
    with pytest.raises(PlanMistake, match="--arrivals must be one of log, log-time"):
        plan_of("http://127.0.0.1:1", path, curve="tide")
    with pytest.raises(PlanMistake, match="--arrivals is of a log"):
        plans.make(
            scenario="signup", users=1, host="", rate=1.0, duration=None, arrivals="poisson", time_scale=1.0, seed=1,
            curve="log",
        )  # fmt: skip
    for mistake, changes in {
        "weights: the log has no page of deals": {"weights": {"deals": 3.0}},
        "kinds, urls: ": {"kinds": str(tmp_path / "none.toml")},
        "log: .*cannot be read": {"log": str(tmp_path / "none.log")},
    }.items():
        plan = plan_of("http://127.0.0.1:1", path, **{"log": str(path), **changes})
        with pytest.raises(PlanMistake, match=mistake):
            running.prepared(plan, tmp_path)


def test_a_plan_of_several_scenarios_replays_its_share(tmp_path: Path) -> None:
    path = log(tmp_path, ("a", 0, "/shop/"), ("b", 9, "/shop/deals/"), ("b", 69, "/shop/"))
    plan = plan_of("http://127.0.0.1:1", path)
    mixed = plan.changed(users=40, mix={"replay": 1.0, "browse": 1.0})
    prepared = running.prepared(mixed, tmp_path)
    crowd = crowd_at("http://127.0.0.1:1", run_dir=tmp_path)
    for arrival in mixed.arrivals():
        visitor = Replay(crowd, arrival.index)
        if arrival.scenario == "replay":
            assert visitor.visit_of_the_log().pages
    assert prepared.journey_seconds >= plans.JOURNEY_SECONDS["browse"]
    assert (tmp_path / CHOSEN).exists()

"""What a run made of a log is in its report."""

from pathlib import Path
from typing import Any

from django.template import Context, Engine

from loadtests import report
from loadtests.replay import preparing
from loadtests.report import replayed
from tests.loadtests.replay.test_visitor import log

TEMPLATE = Engine(dirs=[str(Path(report.__file__).parent)], autoescape=True)


def shown(replay: dict[str, Any] | None) -> str:
    context = {"replayed": replayed.of_record(replay)}
    return TEMPLATE.get_template("replayed.html").render(Context(context)).strip()


def test_pages_of_the_log_are_shown_beside_those_that_were_asked_for(tmp_path: Path) -> None:
    path = log(tmp_path, *[(f"h{host}", 0, "/shop/" if host % 4 else "/shop/deals/") for host in range(40)])
    wanted = preparing.Wanted(logs=(path,), weights={"deals": 3.0})
    preparing.prepare(wanted=wanted, arrivals=range(200), seed=1, run_dir=tmp_path)
    replay = preparing.achieved(run_dir=tmp_path, answered={"replay.home": 100, "replay.deals": 60})
    page = shown(replay)
    assert "200 visits, 100% of new clients, of 40 in 40 lines" in page
    assert "deals x 3" in page
    assert "chi-square" in page
    assert "<td>25.0%</td><td>50.0%</td><td>37.5%</td><td>60</td>" in page  # deals


def test_a_run_without_a_log_has_no_such_section() -> None:
    assert shown(None) == ""

import copy
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from loadtests import audit, plans, record, report
from loadtests.report.page import render
from loadtests.verdict import judge

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attributes


def tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    return parser


@pytest.fixture
def kept(measured: dict[str, Any]) -> dict[str, Any]:
    plan = plans.make(
        scenario="signup",
        users=10,
        rate=5.0,
        duration=None,
        arrivals="constant",
        time_scale=1.0,
        seed=1,
        host="http://127.0.0.1:8000",
    )
    invariant = {"name": "numbers-dense", "holds": True, "checked": 3, "breaches": [], "description": "no gap"}
    books = {"audited": True, "clean": True, "as_of": "2026-11-21T10:00:00+00:00", "invariants": [invariant]}
    said = judge(plan=plan, results=measured, findings=[], books=books)
    content = {
        "format": record.FORMAT,
        "run_id": "a1b2c3",
        "plan": plan.as_json(),
        "command": "manage.py loadtest run signup",
        "environment": {"python": "3.11", "commit": "abc"},
        "verdict": said.as_json(),
        "books": books,
        "results": measured,
    }
    return dict(json.loads(json.dumps(content)))  # as it comes back from the file


def test_the_verdict_comes_first(kept: dict[str, Any]) -> None:
    page = render(kept)
    assert page.index("PASSED") < page.index("Latency")
    assert "numbers-dense" in page
    assert "manage.py loadtest run signup" in page


def test_the_page_needs_nothing_beside_it(kept: dict[str, Any]) -> None:
    names = [name for name, value in tags(render(kept)).attributes]
    assert "src" not in names
    assert "href" not in names
    assert "@import" not in render(kept)


def test_markup_from_a_server_or_a_file_stays_text(kept: dict[str, Any]) -> None:
    honest = tags(render(kept)).seen
    kept["results"]["errors"] = [{"step": HOSTILE, "kind": HOSTILE, "error": HOSTILE, "count": 1}]
    kept["results"]["steps"] = {HOSTILE: kept["results"]["steps"]["signup.post"]}
    kept["books"]["invariants"][0] |= {"name": HOSTILE, "description": HOSTILE, "breaches": [HOSTILE], "holds": False}
    kept["command"] = kept["environment"]["python"] = kept["verdict"]["sentence"] = HOSTILE
    seen = tags(render(kept))
    assert seen.seen.count("script") == honest.count("script")
    assert "img" not in seen.seen
    assert "onerror" not in [name for name, value in seen.attributes]


def test_the_data_of_the_plots_is_whole(kept: dict[str, Any]) -> None:
    kept["results"]["steps"] = {HOSTILE: kept["results"]["steps"]["signup.post"]}
    raw = re.search(r'<script type="application/json" id="data">(.*?)</script>', render(kept), re.S)
    assert raw
    data = json.loads(raw[1])
    assert data["histogram"]["names"] == [HOSTILE]
    panels = {panel["curves"][0]["label"]: panel["columns"] for panel in data["panels"]}
    assert panels["arrived"] == [[0, 1, 2], [0, 10, 10], [0, 6, 10]]
    assert [len(column) for column in panels["p50"]] == [2] * 5
    shares = data["histogram"]["columns"][1]
    assert sum(shares) == pytest.approx(100)


def test_every_tier_is_drawn_on_the_time_axis_of_the_run(kept: dict[str, Any]) -> None:
    kept["probes"] = {
        "at": [0, 1],
        "groups": {"web": {"cpu": [None, 0.5], "rss_bytes": [80e6, 90e6]}, "idle": {"cpu": [0.0, 0.0]}},
        "gauges": {"web.backlog": [0, 7], "tcp.retransmits": [0, 0], "mariadb.primary.threads_running": [None, 3]},
        "host": {"cpu": [0.25, 0.5], "cores": [2, 2]},
    }
    kept["events"] = [{"at": 1.5, "kind": "drill", "text": HOSTILE}, {"at": None, "kind": "run", "text": "before"}]
    page = render(kept)
    raw = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert raw
    data = json.loads(raw[1])
    drawn = {curve["label"]: column for panel in data["panels"] for curve, column in curves_of(panel)}
    assert len({tuple(panel["columns"][0][-2:]) for panel in data["panels"]}) == 1, "one second, one place"
    assert drawn["web"] == [80, 90]  # the last panel that has it: memory, in MB
    assert drawn["whole machine"] == [50, 100]  # percent of a core
    assert drawn["web.backlog"] == [0, 7]
    assert drawn["mariadb.primary.threads_running"] == [None, 3]
    assert not {"idle", "tcp.retransmits"} & drawn.keys()  # nothing all the time is no curve
    assert data["events"] == [[1.5, HOSTILE]]
    assert data["until"] == 2


def curves_of(panel: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    yield from zip(panel["curves"], panel["columns"][1:], strict=True)


def test_a_run_without_results_and_books_still_has_a_report(kept: dict[str, Any]) -> None:
    kept["results"] = None
    kept["books"] = audit.skipped(HOSTILE)
    plan = plans.Plan.from_json(kept["plan"])
    kept["verdict"] = judge(plan=plan, results=None, findings=[], books=kept["books"]).as_json()
    page = render(kept)
    assert "INVALID" in page
    assert "<img" not in page


def test_a_run_in_which_nothing_was_answered_still_has_a_report(kept: dict[str, Any]) -> None:
    empty = copy.deepcopy(kept)
    empty["results"]["steps"] = {}
    for figure in empty["results"]["total"]["latency_ms"]:
        empty["results"]["total"]["latency_ms"][figure] = None
    assert "–" in render(empty)


def test_a_report_is_made_again_from_its_record(kept: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(kept))
    first = report.write(run_dir=tmp_path, record=record.read(tmp_path)).read_text()
    assert report.write(run_dir=tmp_path, record=record.read(tmp_path)).read_text() == first


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"format": 99}'])
def test_what_is_no_record_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(record.RunDirUnusable):
        record.read(tmp_path)

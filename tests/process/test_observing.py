"""What a running application tells of itself: one signup followed by its id through the logs of its processes, and
/metrics added up over them."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests import probes
from loadtests.beside import Running
from loadtests.target import Target
from tests.deadline import until
from tests.process.conftest import Served

pytestmark = pytest.mark.process


def sign_up(served: Served, email: str, request_id: str) -> None:
    request = urllib.request.Request(
        f"{served.url}/signup/",
        data=f"email={email}".encode(),
        headers={"Accept": "application/json", "X-Request-ID": request_id, "Sec-Fetch-Site": "same-origin"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert (answer.status, answer.headers["X-Request-ID"]) == (202, request_id)


def lines_with(served: Served, program: str, *words: str) -> list[str]:
    log = served.data / "logs" / f"{program}.log"
    return (
        [line for line in log.read_text().splitlines() if all(word in line for word in words)] if log.exists() else []
    )


def test_a_signup_can_be_followed_by_its_id_from_the_web_to_the_mail(served: Served) -> None:
    for name in ("ann", "ben"):
        sign_up(served, f"{name}@load.stampede-lab.org", f"followed-{name}")
    for name in ("ann", "ben"):
        (taken,) = until(lambda n=name: lines_with(served, "web", f"[followed-{n}]", "was taken"), "the web's line")
        (sent,) = until(lambda n=name: lines_with(served, "worker", f"[followed-{n}]", "was sent"), "its mail's")
        place = taken.split("place ")[1].split()[0]
        assert f"mail place:{place} was sent" in sent
        assert f"{name}@" not in taken + sent  # an address is nobody's business who reads a log


def samples(served: Served) -> dict[tuple[str, str], float]:
    """Values by name and one label that tells them apart."""
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(scrape(served)):
        for sample in family.samples:
            key = sample.labels.get("route") or sample.labels.get("state") or sample.labels.get("kind") or ""
            found[sample.name, key] = found.get((sample.name, key), 0) + sample.value
    return found


def scrape(served: Served) -> str:
    with urllib.request.urlopen(f"{served.url}/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())


def test_every_process_counts_into_the_same_answer(served: Served) -> None:
    before = samples(served).get(("stampede_request_seconds_count", "ico:board_api"), 0)
    for _ in range(40):  # both web processes answer some of them
        with urllib.request.urlopen(f"{served.url}/api/board", timeout=30) as answer:
            answer.read()
    assert samples(served)["stampede_request_seconds_count", "ico:board_api"] == before + 40
    sent = ("stampede_mails_total", "place")  # counted by the worker, told by the web
    until(lambda: samples(served).get(sent, 0) >= 2, "the worker's count")
    mails = ("stampede_outbox_messages", "sent")  # counted every few seconds
    until(lambda: samples(served)[mails] == samples(served)["stampede_line_numbered", ""] == 2, "every mail is sent")


def test_the_laboratory_watches_every_process_from_outside_and_finds_its_own_requests_counted(
    served: Served, tmp_path: Path
) -> None:
    plan: Any = None  # which no probe looks at
    target = Target("http", "127.0.0.1", served.port, "127.0.0.1")
    events: list[str] = []
    beside, file = probes.Probes(), tmp_path / probes.FILE
    beside.start(Running("run", tmp_path, plan, target, time.time(), lambda why: None, lambda why: None, events.append))
    for _ in range(25):
        with urllib.request.urlopen(f"{served.url}/api/board", timeout=30) as answer:
            answer.read()
    told = ('"web.busy"', '"tcp.retransmits"', '"cpu_busiest": 0')
    until(lambda: file.exists() and all(word in file.read_text() for word in told), "a second of everything")
    beside.stop()
    seen = probes.read(tmp_path)
    assert seen is not None
    programs = {"web", "worker", "clock", "follower", "chain"}
    assert programs <= set(seen["groups"])
    assert [max(values) for name, values in _known(seen, "processes").items() if name == "web"] == [3]  # and its master
    assert all(max(values) > 1_000_000 for values in _known(seen, "rss_bytes").values())
    assert {"web.backlog", "web.threads", "tcp.retransmits"} <= set(seen["gauges"])
    assert probes.counted.read(tmp_path) == {
        "by": "application",
        "direct": True,
        "requests": 25,
        "routes": {"ico:board_api GET 2xx": 25},
    }
    assert events == []


def _known(seen: dict[str, Any], figure: str) -> dict[str, list[float]]:
    return {name: [value for value in row[figure] if value is not None] for name, row in seen["groups"].items()}


def test_promtool_finds_no_fault(served: Served, tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian: apt-get install prometheus)")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape(served), capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

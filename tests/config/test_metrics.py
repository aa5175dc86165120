"""/metrics: who may read it, what a request is counted as, and what is told when the books cannot be read."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from config import metrics
from config.metrics import Figure, Figures, RequestsMiddleware
from ico import release, waitlist
from ico.models import Sale
from tests.ico.conftest import join, read_load

ROOT = Path(__file__).resolve().parents[2]
ODD = Figure("stampede_odd", "Of a group that is read oddly.")


@pytest.fixture(autouse=True)
def _read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_books", None)


def scraped() -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name, then by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


# --- who may ask ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "status"),
    [
        ([], "127.0.0.1", None, 200),
        ([], "10.1.2.3", None, 200),
        ([], "203.0.113.7", None, 404),
        (["127.0.0.1"], "127.0.0.1", "203.0.113.7", 404),  # through our proxy, from outside
        (["127.0.0.1"], "127.0.0.1", "10.1.2.3", 200),  # through our proxy, from inside
        (["127.0.0.1"], "127.0.0.1", "10.1.2.3, 203.0.113.7", 404),  # the client wrote the first one
        ([], "127.0.0.1", "203.0.113.7", 404),  # through a proxy that nobody told us of
        (["127.0.0.1"], "203.0.113.7", "127.0.0.1", 404),  # a stranger who says it
    ],
)
def test_only_our_own_networks_may_read(
    db: None, settings: Settings, trusted: list[str], peer: str, forwarded: str | None, status: int
) -> None:
    from ipaddress import ip_network

    settings.INTERNAL_NETWORKS = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")]
    settings.TRUSTED_PROXIES = trusted
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert Client(headers=headers).get("/metrics", REMOTE_ADDR=peer).status_code == status


# --- requests ---------------------------------------------------------------------------------------------------------
def counted(route: str, method: str, outcome: str) -> float:
    labels = {"route": route, "method": method, "outcome": outcome}
    return REGISTRY.get_sample_value("stampede_request_seconds_count", labels) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("get", "/healthz", ("healthz", "GET", "2xx")),
        ("post", "/healthz", ("healthz", "POST", "4xx")),
        ("get", "/api/position/h1.7.secret", ("ico:position_api", "GET", "4xx")),
        ("get", "/nobody/knows/this", ("none", "GET", "4xx")),
    ],
)
def test_a_request_is_counted_by_its_route_and_outcome(
    sale: Sale, method: str, path: str, kind: tuple[str, str, str]
) -> None:
    before = counted(*kind)
    getattr(Client(), method)(path)
    assert counted(*kind) == before + 1
    assert "secret" not in metrics.exposition().decode()


def test_a_method_that_is_none_of_ours_makes_no_series_of_its_own() -> None:
    before = counted("none", "other", "2xx")
    for method in ("BREW", "WHEN"):
        RequestsMiddleware(lambda request: HttpResponse())(RequestFactory().generic(method, "/"))
    assert counted("none", "other", "2xx") == before + 2


@pytest.mark.parametrize(
    ("status", "slow", "lines"), [(200, False, 0), (404, False, 0), (503, False, 1), (200, True, 1)]
)
def test_only_what_failed_or_was_slow_gets_a_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, slow: bool, lines: int
) -> None:
    if slow:
        monkeypatch.setattr(metrics, "SLOW_SECONDS", 0.0)
    RequestsMiddleware(lambda request: HttpResponse(status=status))(RequestFactory().get("/line/secret/"))
    assert [record.fields["status"] for record in caplog.records] == [status] * lines  # type: ignore[attr-defined]


def test_reads_of_the_cache_are_counted() -> None:
    def reads(result: str) -> float:
        labels = {"cache": "default", "result": result}
        return REGISTRY.get_sample_value("stampede_cache_reads_total", labels) or 0.0

    hits, misses = reads("hit"), reads("miss")
    cache.set("k", None)  # a stored None is found
    assert (cache.get("k"), cache.get("missing", 7)) == (None, 7)
    assert cache.get_many(["k", "missing", "missing-too"]) == {"k": None}
    assert (reads("hit") - hits, reads("miss") - misses) == (2, 3)


# --- figures ----------------------------------------------------------------------------------------------------------
def test_the_figures_are_those_of_the_books(transactional_db: None, sale: Sale, now: datetime) -> None:
    for name in ("ann", "ben", "cyd"):
        join(sale, f"{name}@example.org")
    waitlist.give_numbers(sale_id=sale.pk, limit=2)
    Sale.objects.filter(pk=sale.pk).update(batch_size=1)
    read_load(0.5, now)
    release.release(sale_id=sale.pk, holder="test", now=now)
    found = scraped()
    assert found["stampede_line_numbered"] == {("test",): 2}
    assert found["stampede_line_unnumbered"] == {("test",): 1}
    assert found["stampede_line_served"] == {("test",): 1}
    assert found["stampede_line_waiting"] == {("test",): 1}
    assert found["stampede_cap_reserved_cents"] == {("test",): 100_000}
    states = ("pending", "claimed", "sent", "parked")
    assert found["stampede_outbox_messages"] == {
        **dict.fromkeys((("sale", state) for state in states), 0),
        **dict.fromkeys((("orders", state) for state in states), 0),
        ("sale", "pending"): 4,
    }
    reasons = {reason for (reason, _), value in found["stampede_release_reason"].items() if value}
    assert reasons == {"released"}
    assert 0 <= found["stampede_board_age_seconds"]["test",] < 60
    assert found["stampede_figures_read"]["line",] == 1


def test_many_scrapes_at_once_cost_the_books_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    group = Figures("odd", (ODD,), lambda: read.append(1) or [])  # type: ignore[func-returns-value]
    monkeypatch.setattr(metrics, "groups", lambda: [group])
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 60.0)
    scrapes = [threading.Thread(target=metrics.exposition) for _ in range(8)]
    for one in scrapes:
        one.start()
    for one in scrapes:
        one.join()
    assert read == [1]


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_books_that_cannot_be_read_cost_their_figures_and_a_moment(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    hold = threading.Event()

    def read() -> Any:
        if fault == "hangs":
            hold.wait(30)
        raise RuntimeError("no books")

    fine = Figure("stampede_fine", "Always read.")
    groups = [Figures("odd", (ODD,), read), Figures("fine", (fine,), lambda: [(fine, (), 3.0)])]
    monkeypatch.setattr(metrics, "groups", lambda: groups)
    began = time.monotonic()
    try:
        found = scraped()
        assert time.monotonic() - began < metrics.SCRAPE_SECONDS + 1
    finally:
        hold.set()
    assert "stampede_odd" not in found
    assert found["stampede_figures_read"] == {("odd",): 0, ("fine",): 1}
    assert found["stampede_fine"] == {(): 3}


# --- the format and the documentation -----------------------------------------------------------------------------
def named_in_the_code() -> set[str]:
    """Without what prometheus_client and Python tell of the process itself."""
    told = metrics.exposition().decode()
    own = set(re.findall(r"^# TYPE (stampede_\w+) (?:counter|histogram|gauge)", told, re.MULTILINE))
    own = {name for name in own if not name.endswith("_created")}  # the client's own, of each counter
    gauges = {figure.name for group in metrics.groups() for figure in group.figures} | {metrics.READ.name}
    return own | gauges


def test_every_metric_is_documented_and_nothing_else(transactional_db: None) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^\| `(stampede_\w+)`", page, re.MULTILINE)) == named_in_the_code()


def test_promtool_finds_no_fault(transactional_db: None, sale: Sale) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian: apt-get install prometheus)")
    told = metrics.exposition()
    checked = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_an_unknown_request_is_not_internal() -> None:
    from config.requests import is_internal

    assert not is_internal(HttpRequest())

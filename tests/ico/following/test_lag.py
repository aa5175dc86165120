"""How far the follower lags is the same everywhere it is told: to who called it, to Prometheus and to the operator."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from config import metrics
from ico import deposits, sightings
from tests.ico.following.node import Node

BLOCKS, MOST = 10, 4


@pytest.mark.django_db(transaction=True)  # the figures are read in threads of their own
def test_metrics_and_panel_tell_by_how_many_blocks_it_lags(
    node: Node, follower: deposits.Follower, now: datetime, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "MOST_BLOCKS", MOST)
    node.mine(BLOCKS)
    for lag in (6, 2, 0):
        assert follower.step(now).lag == lag
        monkeypatch.setattr(metrics, "_books", None)  # what it read a moment ago is fresh enough for it
        assert behind_in_the_metrics() == lag
        row = behind_on_the_panel(admin_client)
        assert (row["behind"], row["height"], row["tip"]) == (lag, BLOCKS - lag, BLOCKS)


def behind_in_the_metrics() -> float:
    told = Client().get("/metrics").content.decode()
    families = {family.name: family for family in text_string_to_metric_families(told)}
    return {sample.labels["chain"]: sample.value for sample in families["stampede_chain_behind_blocks"].samples}["ETH"]


def behind_on_the_panel(operator: Client) -> dict[str, int]:
    cache.clear()
    rows = operator.get("/ops/data.json").json()["chains"]
    return {row["chain"]: row for row in rows}["ETH"]

"""A chain of Ethereum that is followed, and a person who may pay on it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ico import deposits
from ico.models import Invitation, Sale
from tests.ico.following.node import DEPTH, PATIENCE, Node
from tests.ico.people import joined


@pytest.fixture(autouse=True)
def _depth(settings: Any) -> None:
    settings.CONFIRMATIONS = {"BTC": 2, "ETH": DEPTH}
    settings.NODE_PATIENCE_SECONDS = PATIENCE.total_seconds()


@pytest.fixture
def person(sale: Sale, now: datetime) -> Invitation:
    return joined(sale=sale, now=now)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "eth.sqlite3")


@pytest.fixture
def follower(node: Node, person: Invitation, now: datetime) -> deposits.Follower:
    found = deposits.Follower(node)
    found.step(now)
    return found

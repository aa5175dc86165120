"""Real nodes with a player each, and the settings that name them. Each test has a node of its own: addresses begin at
the same index in each test's database, and what arrived there before would arrive again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.nodes import anvil, knots, walking
from tests.nodes.anvil_player import AnvilPlayer
from tests.nodes.knots_player import KnotsPlayer
from tests.nodes.world import Walk


@pytest.fixture
def on_test_networks(settings) -> None:  # type: ignore[no-untyped-def]
    settings.BTC_NETWORK, settings.BTC_XPUB = "regtest", settings.DEMO_TEST_BTC_KEY
    settings.ETH_CHAIN_ID = anvil.anvil.CHAIN_ID


@pytest.fixture
def knots_player(tmp_path: Path, on_test_networks: None, settings: Any) -> Iterator[KnotsPlayer]:
    with knots.knots(tmp_path) as node:
        settings.NODES = {**settings.NODES, "BTC": urlsplit(node.url)}
        yield KnotsPlayer(node)


@pytest.fixture
def wallets() -> int:
    """Of an Ethereum node; each takes it some milliseconds to make."""
    return 10


@pytest.fixture
def anvil_player(tmp_path: Path, on_test_networks: None, wallets: int, settings: Any) -> Iterator[AnvilPlayer]:
    with anvil.running(tmp_path, keeps=True, wallets=wallets) as node:
        settings.NODES = {**settings.NODES, "ETH": urlsplit(node.url)}
        yield AnvilPlayer(node)


@pytest.fixture
def begun(sale, now, settings) -> Callable[..., Walk]:  # type: ignore[no-untyped-def]
    """Begins a walk of a player: `begun(player, seed=1, **walking.DEEP)`."""
    return partial(walking.begun, own=settings, sale=sale, now=now)

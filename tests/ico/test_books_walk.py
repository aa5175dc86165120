"""Random walks of payments, blocks, replacements and reorgs on simulated chains: the books equal them at every step.
The same walks on real nodes are in tests/nodes, those on Bitcoin only where its node is installed."""

import pytest

from tests.nodes import walking
from tests.nodes.players import SimulatedPlayer

KINDS = [pytest.param("ETH", walking.SHALLOW, id="shallow"), pytest.param("BTC", walking.DEEP, id="deep")]


@walking.seeds
@pytest.mark.parametrize(("chain", "depths"), KINDS)
def test_the_ledger_equals_the_chain(seed, chain, depths, sale, now, tmp_path, settings) -> None:
    player = SimulatedPlayer(tmp_path / "walk.sqlite3", chain=chain)
    walking.must_keep_the_books(walking.begun(player, own=settings, seed=seed, sale=sale, now=now, **depths))


@walking.seeds
def test_without_compensation_the_same_walk_goes_wrong(seed, sale, now, tmp_path, settings, monkeypatch) -> None:
    player = SimulatedPlayer(tmp_path / "walk.sqlite3", chain="BTC")
    world = walking.begun(player, own=settings, seed=seed, sale=sale, now=now, **walking.DEEP)
    walking.must_go_wrong_without_compensation(world, monkeypatch)

"""Random walks of payments, blocks, replacements and reorgs on the simulated chain: the books equal it at every step.
The same walks on real nodes are in tests/nodes."""

import pytest

from tests.nodes import walking
from tests.nodes.players import SimulatedPlayer


@pytest.mark.parametrize("seed", walking.PATIENCE)
@pytest.mark.parametrize("depths", [walking.SHALLOW, walking.DEEP], ids=["shallow", "deep"])
def test_the_ledger_equals_the_chain(seed, depths, sale, now, tmp_path, settings) -> None:
    player = SimulatedPlayer(tmp_path / "walk.sqlite3", chain="ETH")
    walking.must_keep_the_books(walking.begun(player, own=settings, seed=seed, sale=sale, now=now, **depths))


@pytest.mark.parametrize("seed", walking.PATIENCE)
def test_without_compensation_the_same_walk_goes_wrong(seed, sale, now, tmp_path, settings, monkeypatch) -> None:
    player = SimulatedPlayer(tmp_path / "walk.sqlite3", chain="ETH")
    world = walking.begun(player, own=settings, seed=seed, sale=sale, now=now, **walking.DEEP)
    walking.must_go_wrong_without_compensation(world, monkeypatch)

"""Random walks on a real Ethereum node whose reorgs go deeper than what is credited: each such credit is compensated,
and the books equal the chain all the same."""

import pytest

from tests.nodes import walking

pytestmark = [pytest.mark.process, pytest.mark.django_db]


@pytest.fixture
def wallets() -> int:
    return 300


@pytest.mark.parametrize("seed", walking.PATIENCE)
def test_the_ledger_equals_the_chain(seed, anvil_player, sale, now, settings) -> None:
    world = walking.begun(anvil_player, own=settings, seed=seed, sale=sale, now=now, **walking.DEEP)
    walking.must_keep_the_books(world, restarts=2)


@pytest.mark.parametrize("seed", walking.PATIENCE)
def test_without_compensation_the_same_walk_goes_wrong(seed, anvil_player, sale, now, settings, monkeypatch) -> None:
    world = walking.begun(anvil_player, own=settings, seed=seed, sale=sale, now=now, **walking.DEEP)
    walking.must_go_wrong_without_compensation(world, monkeypatch)

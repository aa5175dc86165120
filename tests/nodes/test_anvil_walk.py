"""Random walks on a real Ethereum node: after every step the books equal its chain, to the last wei. Here reorgs
never reach what is credited."""

import pytest

from tests.nodes import walking

pytestmark = [pytest.mark.process, pytest.mark.django_db]


@pytest.fixture
def wallets() -> int:
    return 300


@pytest.mark.parametrize("seed", walking.PATIENCE)
def test_the_ledger_equals_the_chain(seed, anvil_player, sale, now, settings) -> None:
    world = walking.begun(anvil_player, own=settings, seed=seed, sale=sale, now=now, **walking.SHALLOW)
    walking.must_keep_the_books(world, restarts=2)

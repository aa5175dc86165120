"""Random walks on a real Bitcoin node: after every step the books equal its chain, to the last satoshi. Here reorgs
never reach what is credited."""

import pytest

from tests.nodes import walking

pytestmark = [pytest.mark.process, pytest.mark.django_db]


@pytest.mark.parametrize("seed", walking.PATIENCE)
def test_the_ledger_equals_the_chain(seed, knots_player, sale, now, settings) -> None:
    world = walking.begun(knots_player, own=settings, seed=seed, sale=sale, now=now, **walking.SHALLOW)
    walking.must_keep_the_books(world, restarts=2)

"""Random walks on a real Bitcoin node: after every step the books equal its chain, to the last satoshi. Here reorgs
never reach what is credited."""

from tests.nodes import walking

pytestmark = walking.on_a_node


@walking.seeds
def test_the_ledger_equals_the_chain(seed, knots_player, begun) -> None:
    walking.must_keep_the_books(begun(knots_player, seed=seed, **walking.SHALLOW), restarts=2)

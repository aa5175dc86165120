"""Random walks on a real Ethereum node: after every step the books equal its chain, to the last wei. Here reorgs
never reach what is credited."""

from tests.nodes import walking

pytestmark = [*walking.on_a_node, walking.many_wallets]


@walking.seeds
def test_the_ledger_equals_the_chain(seed, anvil_player, begun) -> None:
    walking.must_keep_the_books(begun(anvil_player, seed=seed, **walking.SHALLOW), restarts=2)

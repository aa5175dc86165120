"""Random walks on a real Ethereum node whose reorgs go deeper than what is credited: each such credit is compensated,
and the books equal the chain all the same."""

from tests.nodes import walking

pytestmark = [*walking.on_a_node, walking.many_wallets]


@walking.seeds
def test_the_ledger_equals_the_chain(seed, anvil_player, begun) -> None:
    walking.must_keep_the_books(begun(anvil_player, seed=seed, **walking.DEEP), restarts=2)


@walking.one_seed
def test_without_compensation_the_same_walk_goes_wrong(seed, anvil_player, begun, monkeypatch) -> None:
    walking.must_go_wrong_without_compensation(begun(anvil_player, seed=seed, **walking.DEEP), monkeypatch)

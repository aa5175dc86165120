"""Random walks on a real Bitcoin node whose reorgs go deeper than what is credited: each such credit is compensated,
and the books equal the chain all the same."""

from tests.nodes import walking

pytestmark = walking.on_a_node


@walking.seeds
def test_the_ledger_equals_the_chain(seed, knots_player, begun) -> None:
    walking.must_keep_the_books(begun(knots_player, seed=seed, **walking.DEEP), restarts=2)


@walking.one_seed
def test_without_compensation_the_same_walk_goes_wrong(seed, knots_player, begun, monkeypatch) -> None:
    walking.must_go_wrong_without_compensation(begun(knots_player, seed=seed, **walking.DEEP), monkeypatch)

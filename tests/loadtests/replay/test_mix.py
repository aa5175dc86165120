"""Weights move whole visits, and how far chance reaches is told rightly."""

import pytest

from loadtests.replay.mix import Group, MixMistake, chi_square_above, fit, shares, visit_weights, wanted

GROUPS = [
    Group({"home": 1, "deals": 2}, new=True, visits=100),
    Group({"home": 1, "product": 9}, new=True, visits=300),
    Group({"deals": 1}, new=False, visits=50),
    Group({"home": 3, "product": 1}, new=False, visits=150),
]


def test_the_wanted_mix_is_reached_by_whole_visits() -> None:
    weights = visit_weights(GROUPS, {"deals": 3})
    before, after = shares(GROUPS), shares(GROUPS, weights)
    odds = [mix["deals"] / (1 - mix["deals"]) for mix in (before, after)]
    assert odds[1] / odds[0] == pytest.approx(3, rel=1e-3)
    assert after["deals"] == pytest.approx(wanted(before, {"deals": 3})["deals"], rel=1e-3)


def test_the_share_of_new_clients_stays() -> None:
    weights = visit_weights(GROUPS, {"deals": 3, "product": 0.5})
    made = [weight * group.visits for group, weight in zip(GROUPS, weights, strict=True)]
    assert sum(made[:2]) / sum(made) == pytest.approx(400 / 600)


def test_nothing_is_weighted_unless_asked() -> None:
    assert visit_weights(GROUPS, {}) == [1.0] * 4
    assert visit_weights(GROUPS, {"deals": 1}) == pytest.approx([1.0] * 4)


def test_a_mix_that_whole_visits_cannot_have_is_refused() -> None:
    always_both = [Group({"home": 1, "deals": 1}, new=True, visits=10)]
    with pytest.raises(MixMistake, match=r"no choice of whole visits has this mix; the nearest has deals 50\.0%"):
        visit_weights(always_both, {"deals": 3})
    with pytest.raises(MixMistake, match="no page of sales; it has deals, home"):
        visit_weights(always_both, {"sales": 3})
    with pytest.raises(MixMistake, match="above 0"):
        visit_weights(always_both, {"deals": 0})


@pytest.mark.parametrize(
    ("statistic", "freedom", "p"),
    # 5 % and 1 % points of the printed tables (Abramowitz and Stegun, table 26.8)
    [(3.84146, 1, 0.05), (5.99146, 2, 0.05), (11.0705, 5, 0.05), (21.6660, 9, 0.01), (43.7730, 30, 0.05), (0, 4, 1)],
)
def test_chi_square_is_that_of_the_tables(statistic: float, freedom: int, p: float) -> None:
    assert chi_square_above(statistic, freedom) == pytest.approx(p, rel=1e-4)


def test_planned_and_achieved_are_told_apart_when_they_differ() -> None:
    planned = {"home": 0.5, "deals": 0.25, "product": 0.25}
    assert (fit({"home": 505, "deals": 240, "product": 255}, planned).p or 0) > 0.5
    found = fit({"home": 400, "deals": 350, "product": 250}, planned)
    assert found.p is not None
    assert found.p < 1e-6
    assert found.chi_square == pytest.approx(60)


def test_pages_of_one_visit_count_as_one() -> None:
    planned, counted = {"a": 0.5, "b": 0.5}, {"a": 540, "b": 460}
    assert (fit(counted, planned).p or 1) < 0.05
    assert (fit(counted, planned, pages_of_a_visit=10).p or 0) > 0.05


def test_too_little_says_nothing() -> None:
    assert fit({"a": 4, "b": 4}, {"a": 1, "b": 1}).p is None
    assert fit({"a": 9}, {"a": 1}).p is None

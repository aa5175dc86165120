"""What a comparison answers where the truth is known, under noise and drift; and that none of its guards is idle."""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from loadtests.comparison import compare
from loadtests.comparison.compare import Answer, Block, TooFewBlocks

STEPS = ("one.p50", "one.p95", "two.p50", "two.p95")


def run(chance: random.Random, *, noise: float, moved: float, slower: float) -> dict[str, float | None]:
    """Of a machine at `moved` of its drift; the first step is slower by this share."""
    durations: dict[str, float | None] = {
        name: 20 * math.exp(chance.gauss(moved, noise)) * (1 + slower * name.startswith("one")) for name in STEPS
    }
    return {**durations, "failed": 0.0}


def blocks(
    *, seed: int = 1, count: int = 8, slower: float = 0.0, noise: float = 0.02, drift: float = 0.05
) -> list[Block]:
    chance, made = random.Random(seed), []
    for outer in compare.orders(blocks=count, seed=seed):
        sides = [slower if outer == "b" else 0.0, 0.0 if outer == "b" else slower]
        runs = [
            run(chance, noise=noise, moved=drift * place, slower=sides[which])
            for place, which in enumerate((0, 1, 1, 0))
        ]
        made.append(Block(*runs, outer=outer))
    return made


def answers(**planted: float) -> Counter[Answer]:
    """Of twenty comparisons."""
    found = (compare.compare(blocks(seed=seed, **planted), margin=0.05) for seed in range(20))  # type: ignore[arg-type]
    return Counter(comparison.answer for comparison in found)


def test_the_same_beside_the_same_is_called_a_regression_at_most_once_in_twenty() -> None:
    found = answers()
    assert found[Answer.REGRESSION] + found[Answer.IMPROVEMENT] <= 1


def test_ten_per_cent_of_one_step_are_found_and_named() -> None:
    assert answers(slower=0.1)[Answer.REGRESSION] >= 19
    assert answers(slower=-0.1)[Answer.IMPROVEMENT] >= 19
    found = compare.compare(blocks(slower=0.1), margin=0.05)
    named = {effect.figure: effect for effect in found.effects if effect.answer is Answer.REGRESSION}
    assert set(named) == {"one.p50", "one.p95"}
    for effect in named.values():
        assert effect.low < 0.1 < effect.high
        assert effect.smallest < 0.1
    assert found.sentence.startswith("regression of one.p50 +")


def test_a_quiet_machine_shows_that_both_are_equal_and_a_noisy_one_cannot_tell() -> None:
    assert answers(noise=0.005)[Answer.EQUAL] == 20
    noisy = compare.compare(blocks(noise=0.3), margin=0.05)
    assert noisy.answer is Answer.CANNOT_TELL
    assert all(effect.smallest > 0.1 for effect in noisy.effects if effect.figure != "failed")


def test_what_is_promised_to_be_seen_is_seen_four_times_in_five() -> None:
    """The smallest effect is told by each comparison itself: planted at that size, it is found about that often."""
    told = [
        next(effect.smallest for effect in compare.compare(blocks(seed=seed), margin=0.05).effects[1:2])
        for seed in range(20)
    ]
    assert answers(slower=sum(told) / len(told))[Answer.REGRESSION] >= 14


def test_the_intervals_hold_the_truth_of_all_figures_at_once() -> None:
    held = 0
    for seed in range(40):
        found = compare.compare(blocks(seed=seed, slower=0.1), margin=0.05)
        truths = {name: 0.1 if name.startswith("one") else 0.0 for name in (*STEPS, "failed")}
        held += all(effect.low <= truths[effect.figure] <= effect.high for effect in found.effects)
    assert held >= 36


def test_a_straight_drift_favours_nobody_and_is_no_part_of_the_band() -> None:
    still = compare.compare(blocks(drift=0.0), margin=0.05)
    drifting = compare.compare(blocks(drift=0.5), margin=0.05)
    for one, other in zip(still.effects, drifting.effects, strict=True):
        assert other.effect == pytest.approx(one.effect, abs=1e-9)
        assert other.band == pytest.approx(one.band, abs=1e-9)


def test_without_blocks_the_drift_would_be_a_regression() -> None:
    """The control: the same runs, all of A before all of B."""
    made = blocks(drift=0.5, noise=0.02)
    shuffled = [Block(b.first, b.third, b.fourth, b.second, outer="a") for b in made]
    assert compare.compare(shuffled, margin=0.05).answer is Answer.REGRESSION


def test_what_differs_less_than_the_same_beside_itself_is_no_difference() -> None:
    """B's runs agree with each other and so do A's in steps of the block: only the band sees how the machine jumps."""
    quiet = blocks(slower=0.1, noise=0.001, drift=0.0)
    assert compare.compare(quiet, margin=0.05).answer is Answer.REGRESSION
    jumping = []
    for block in quiet:
        up, down = ({n: v * f if v else v for n, v in block.first.items()} for f in (math.e, 1 / math.e))
        jumping.append(replace(block, first=up, fourth=down))
    assert compare.compare(jumping, margin=0.05).answer is Answer.CANNOT_TELL


def only_a(figures: str, blind: Callable[[str, int], bool], **planted: float) -> list[Block]:
    """`blind`: whether a run of this side, so and so many before it, has nothing to show for the figures."""
    made = []
    for number, block in enumerate(blocks(**planted)):  # type: ignore[arg-type]
        inner = "b" if block.outer == "a" else "a"
        runs = [dict(run) for run in (block.first, block.second, block.third, block.fourth)]
        for place, (run, side) in enumerate(zip(runs, (block.outer, inner, inner, block.outer), strict=True)):
            if blind(side, 4 * number + place):
                run.update({name: None for name in run if name.startswith(figures)})
        made.append(Block(runs[0], runs[1], runs[2], runs[3], outer=block.outer))
    return made


def test_what_b_never_answers_rightly_is_not_equal_and_no_improvement_makes_up_for_it() -> None:
    found = compare.compare(only_a("two", lambda side, _: side == "b", noise=0.005), margin=0.05)
    assert found.answer is Answer.CANNOT_TELL
    assert found.missing == found.left_out == ("two.p50", "two.p95")
    assert "B did not answer rightly, or not often enough to say, for two.p50, two.p95" in found.sentence
    assert found.as_json()["missing"] == ["two.p50", "two.p95"]
    better = compare.compare(only_a("two", lambda side, _: side == "b", slower=-0.1), margin=0.05)
    assert better.answer is Answer.CANNOT_TELL
    worse = compare.compare(only_a("two", lambda side, _: side == "b", slower=0.1), margin=0.05)
    assert worse.answer is Answer.REGRESSION


@pytest.mark.parametrize(
    "blind",
    [
        lambda side, _: side == "a",  # B has more to show than A
        lambda side, number: side == "b" and number % 8 == 1,  # an answer too few, now and then
        lambda side, number: number % 2 == 1,  # neither of them
    ],
)
def test_a_figure_that_is_known_by_chance_takes_no_answer_away(blind: Callable[[str, int], bool]) -> None:
    found = compare.compare(only_a("two", blind, noise=0.005), margin=0.05)
    assert (found.answer, found.missing) == (Answer.EQUAL, ())
    assert found.left_out == ("two.p50", "two.p95")


def test_failures_are_compared_as_shares() -> None:
    made = []
    for block in blocks():
        sides = [dict(run) for run in (block.first, block.second, block.third, block.fourth)]
        for side in (0, 3) if block.outer == "b" else (1, 2):
            sides[side]["failed"] = 0.02
        made.append(Block(*sides, outer=block.outer))  # type: ignore[arg-type]
    failed = next(effect for effect in compare.compare(made, margin=0.05).effects if effect.figure == "failed")
    assert failed.answer is Answer.REGRESSION
    assert failed.effect == pytest.approx(0.02)


def test_a_figure_that_some_run_has_not_is_left_out_and_named() -> None:
    made = blocks()
    made[3] = replace(made[3], second={**made[3].second, "one.p50": None})
    found = compare.compare(made, margin=0.05)
    assert found.left_out == ("one.p50",)
    assert {effect.figure for effect in found.effects} == {*STEPS[1:], "failed"}


def test_too_few_blocks_are_refused_before_anything_is_run() -> None:
    with pytest.raises(TooFewBlocks, match="at least 6"):
        compare.orders(blocks=5, seed=1)
    with pytest.raises(TooFewBlocks, match="at least 6"):
        compare.compare(blocks()[:5], margin=0.05)


def test_many_blocks_are_sampled_and_say_the_same() -> None:
    found = compare.compare(blocks(count=14, slower=0.1), margin=0.05)
    assert found.answer is Answer.REGRESSION
    assert found.as_json()["effects"][1]["answer"] == "regression"


def test_the_coins_fall_both_ways() -> None:
    assert set(compare.orders(blocks=20, seed=1)) == {"a", "b"}

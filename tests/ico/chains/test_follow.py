"""The pure decision: advance, rewind, wait, or give up."""

import pytest

from ico.chains.base import Block
from ico.chains.follow import (
    Advance,
    Behind,
    Diverged,
    Point,
    Rewind,
    Wait,
    decide,
    first_height_after,
    joined,
    parent_missing,
)


def points(text: str, first: int = 0) -> list[Point]:
    return [Point(height, name) for height, name in enumerate(text, start=first)]


class Node:
    """The main chain of a node, one letter a block, and what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[int] = []

    def hash_at(self, height: int) -> str:
        self.asked.append(height)
        return self.text[height]

    @property
    def tip(self) -> Point:
        return Point(len(self.text) - 1, self.text[-1])


def decided(stored: str, chain: str, most: int = 200, first: int = 0, patient: bool = True) -> object:
    node = Node(chain)
    return decide(points(stored, first), tip=node.tip, hash_at=node.hash_at, most=most, patient=patient)


def test_nothing_new_waits() -> None:
    assert decided("abc", "abc") == Wait()


def test_new_blocks_are_followed_in_bounded_steps() -> None:
    assert decided("abc", "abcdefgh") == Advance(first=3, last=7)
    assert decided("abc", "abcdefgh", most=2) == Advance(first=3, last=4)


def test_a_reorg_of_the_same_height_rewinds() -> None:
    assert decided("abcd", "abxy") == Rewind(ancestor=Point(1, "b"), first=2, last=3)


def test_a_tip_that_went_down_is_waited_for_and_then_believed() -> None:
    assert decided("abcd", "ab") == Behind()
    assert decided("abcd", "ab", patient=False) == Rewind(ancestor=Point(1, "b"), first=2, last=1)


def test_a_lower_tip_with_another_block_is_a_reorg_at_once() -> None:
    assert decided("abcd", "abx") == Rewind(ancestor=Point(1, "b"), first=2, last=2)


def test_a_tip_between_the_kept_blocks_is_behind_too() -> None:
    """The genesis block is kept beside the newest ones."""
    stored = [Point(0, "a"), *points("hij", 7)]
    node = Node("abcd")
    assert decide(stored, tip=node.tip, hash_at=node.hash_at, most=200, patient=True) == Behind()
    node = Node("xbcd")
    assert decide(stored, tip=node.tip, hash_at=node.hash_at, most=200, patient=True) == Diverged()


def test_nothing_above_the_tip_is_asked_for() -> None:
    node = Node("abcxyz")
    decide(points("abcdefghij"), tip=node.tip, hash_at=node.hash_at, most=200, patient=True)
    assert max(node.asked) < node.tip.height


@pytest.mark.parametrize("depth", [1, 2, 5, 100, 286])
def test_the_ancestor_is_found_with_few_questions(depth: int) -> None:
    kept = 288
    old = [Point(height, f"old{height}") for height in range(1_000, 1_000 + kept)]
    asked: list[int] = []

    def hash_at(height: int) -> str:
        asked.append(height)
        return f"old{height}" if height < 1_000 + kept - depth else f"new{height}"

    found = decide(old, tip=Point(1_400, "new1400"), hash_at=hash_at, most=200, patient=True)
    assert isinstance(found, Rewind)
    assert found.ancestor == old[-depth - 1]
    assert len(asked) <= 18


def test_a_step_along_an_undisturbed_chain_asks_for_one_hash() -> None:
    node = Node("abcdefgh")
    decide(points("abc"), tip=node.tip, hash_at=node.hash_at, most=200, patient=True)
    assert node.asked == [2]
    node = Node("abc")
    decide(points("abc"), tip=node.tip, hash_at=node.hash_at, most=200, patient=True)
    assert node.asked == []


def test_a_longer_reorg_rewinds_and_goes_on_in_bounded_steps() -> None:
    assert decided("abcd", "abxyzuvw", most=3) == Rewind(ancestor=Point(1, "b"), first=2, last=4)


def test_only_recent_blocks_are_kept_and_another_chain_is_no_reorg() -> None:
    assert decided("cd", "abxy", first=2) == Diverged()
    assert decided("cd", "a", first=2) == Behind()
    assert decided("cd", "a", first=2, patient=False) == Behind(), "nothing says that it is on another chain"


@pytest.mark.parametrize("tip", range(12))
def test_the_start_is_found_wherever_it_is(tip: int) -> None:
    def time_at(height: int) -> int | None:
        return 10 * height if height <= tip else None

    for moment in range(-5, 10 * tip + 15):
        slowly = next(height for height in range(tip + 2) if height > tip or 10 * height >= moment)
        assert first_height_after(moment, tip_height=tip, time_at=time_at) == slowly


@pytest.mark.parametrize("days", [0, 1, 40])
def test_the_start_is_looked_for_from_the_tip(days: int) -> None:
    """A node that threw away what is older than twice the time is asked for nothing that it has no more."""
    tip, a_day, asked = 25_000_000, 7_200, list[int]()

    def time_at(height: int) -> int:
        asked.append(height)
        return 12 * height

    start = tip - days * a_day
    assert first_height_after(12 * start, tip_height=tip, time_at=time_at) == start
    assert min(asked) >= tip - 2 * (days * a_day + 1)
    assert len(asked) <= 40


def test_blocks_fetched_across_a_reorg_are_cut_at_the_seam() -> None:
    chain = [
        Block(height, name, parent, 0, 0, 0, 1)
        for height, name, parent in [(1, "b", "a"), (2, "c", "b"), (3, "y", "x")]
    ]
    assert [block.hash for block in joined(chain, after=Point(0, "a"))] == ["b", "c"]
    assert joined(chain, after=Point(0, "z")) == []
    assert joined([chain[0], None, chain[1]], after=Point(0, "a")) == chain[:1]
    assert joined([chain[0], Block(7, "c", "b", 0, 0, 0, 1)], after=Point(0, "a")) == chain[:1]


def test_a_missing_parent_is_told_from_a_reorg_that_came_in_between() -> None:
    stray = Block(1, "b", "z", 0, 0, 0, 1)
    start, other = Block(0, "a", "", 0, 0, 0, 1), Block(0, "z", "", 0, 0, 0, 1)
    ancestor = Point(0, "a")
    assert parent_missing(stray, ancestor=ancestor, again=[start, stray])
    assert not parent_missing(stray, ancestor=ancestor, again=[other, stray])
    assert not parent_missing(stray, ancestor=ancestor, again=[start, None])
    assert not parent_missing(stray, ancestor=ancestor, again=[start, Block(1, "c", "a", 0, 0, 0, 1)])

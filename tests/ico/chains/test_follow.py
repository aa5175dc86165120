"""The pure decision: advance, rewind, wait, or give up."""

from ico.chains.base import Block
from ico.chains.follow import Advance, Diverged, Point, Rewind, Wait, decide, first_height_after, joined


def points(text: str, first: int = 0) -> list[Point]:
    return [Point(height, name) for height, name in enumerate(text, start=first)]


def node(text: str):  # type: ignore[no-untyped-def]
    return lambda height: text[height] if 0 <= height < len(text) else None


def decided(stored: str, chain: str, most: int = 200, first: int = 0) -> object:
    return decide(points(stored, first), tip_height=len(chain) - 1, hash_at=node(chain), most=most)


def test_nothing_new_waits() -> None:
    assert decided("abc", "abc") == Wait()


def test_new_blocks_are_followed_in_bounded_steps() -> None:
    assert decided("abc", "abcdefgh") == Advance(first=3, last=7)
    assert decided("abc", "abcdefgh", most=2) == Advance(first=3, last=4)


def test_a_reorg_of_the_same_height_rewinds() -> None:
    assert decided("abcd", "abxy") == Rewind(ancestor=Point(1, "b"), first=2, last=3)


def test_a_tip_that_went_down_rewinds() -> None:
    assert decided("abcd", "ab") == Rewind(ancestor=Point(1, "b"), first=2, last=1)


def test_a_longer_reorg_rewinds_and_goes_on_in_bounded_steps() -> None:
    assert decided("abcd", "abxyzuvw", most=3) == Rewind(ancestor=Point(1, "b"), first=2, last=4)


def test_only_recent_blocks_are_kept_and_another_chain_is_no_reorg() -> None:
    assert decided("cd", "abxy", first=2) == Diverged()
    assert decided("cd", "a", first=2) == Diverged()


def test_the_start_is_found_by_halving() -> None:
    times = [0, 10, 20, 30, 40]
    asked: list[int] = []

    def time_at(height: int) -> int | None:
        asked.append(height)
        return times[height] if height < len(times) else None

    found = {moment: first_height_after(moment, tip_height=4, time_at=time_at) for moment in (-5, 0, 5, 30, 31, 99)}
    assert found == {-5: 0, 0: 0, 5: 1, 30: 3, 31: 4, 99: 5}
    assert len(asked) <= 6 * 3


def test_blocks_fetched_across_a_reorg_are_cut_at_the_seam() -> None:
    chain = [
        Block(height, name, parent, 0, 0, 0, 1)
        for height, name, parent in [(1, "b", "a"), (2, "c", "b"), (3, "y", "x")]
    ]
    assert [block.hash for block in joined(chain, after=Point(0, "a"))] == ["b", "c"]
    assert joined(chain, after=Point(0, "z")) == []

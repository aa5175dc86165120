"""How messages are put into calls: the limits are never crossed, nothing is lost or doubled, and a call is full where
it can be. What a real server says to it stands in `tests/contracts/test_queue.py`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import batching
from config.batching import MOST_BYTES, MOST_ENTRIES, Letter, Refused


class Server:
    """Takes what its list of answers says, a call each: the positions that are refused in passing."""

    def __init__(self, *refused: list[int]) -> None:
        self.refused = list(refused)
        self.calls: list[list[str]] = []

    def send_batch(self, queue: str, entries: list[dict[str, Any]]) -> list[Refused]:
        self.calls.append([entry["MessageBody"] for entry in entries])
        positions = self.refused.pop(0) if self.refused else []
        return [Refused(position, "busy", again=True) for position in positions]


def letter(name: str, *, size: int = 1, queue: str = "mail", server: Server | None = None) -> Letter:
    return Letter(server or Server(), queue, name, {"MessageBody": name}, size)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, MOST_BYTES + 1)), max_size=60))
def test_calls_keep_to_the_limits_and_hold_each_message_once(sizes: list[tuple[str, int]]) -> None:
    letters = [letter(str(number), size=size, queue=queue) for number, (queue, size) in enumerate(sizes)]
    parts = list(batching.batches(letters))
    assert sorted(int(one.task) for part in parts for one in part) == list(range(len(letters)))
    for part in parts:
        assert 1 <= len(part) <= MOST_ENTRIES
        assert len({one.queue for one in part}) == 1
        assert sum(one.size for one in part) <= MOST_BYTES or len(part) == 1
    for this, that in pairwise(parts):
        full = len(this) == MOST_ENTRIES or sum(one.size for one in this) + that[0].size > MOST_BYTES
        assert full or this[0].queue != that[0].queue, "a call that could have held more"


def test_what_is_refused_in_passing_is_sent_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "FIRST_WAIT_SECONDS", 0.0)
    server = Server([1, 2], [1])
    batching.send([letter(name, server=server) for name in "abc"])
    assert server.calls == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_tries_are_bounded_and_the_waits_between_them_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(batching.time, "sleep", waits.append)
    server = Server(*[[0]] * 100)
    with pytest.raises(batching.NotPublished) as error:
        batching.send([letter("a", server=server)])
    assert list(error.value.reasons) == ["a"]
    assert len(server.calls) == batching.TRIES
    first = batching.FIRST_WAIT_SECONDS
    assert len(waits) == batching.TRIES - 1
    assert all(0.5 * first * 2**n <= wait <= first * 2**n for n, wait in enumerate(waits))


def test_a_sender_at_fault_is_not_tried_again() -> None:
    class Strict(Server):
        def send_batch(self, queue: str, entries: list[dict[str, Any]]) -> list[Refused]:
            super().send_batch(queue, entries)
            return [Refused(0, "too long", again=False)]

    server = Strict()
    with pytest.raises(batching.NotPublished, match="too long") as error:
        batching.send([letter(name, server=server) for name in "ab"])
    assert (list(error.value.reasons), server.calls) == (["a"], [["a", "b"]])

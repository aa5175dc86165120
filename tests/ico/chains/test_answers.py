"""What a node said is told short, however long or deep it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ico.chains.answers import listing, mapping, shown
from ico.chains.base import BadAnswer


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "'None'"),
        (False, "'False'"),
        (7, "'7'"),
        (Decimal("0.10"), "\"Decimal('0.10')\""),
        ("x\n\x1b[31m", r"'x\n\x1b[31m'"),
        ({}, "'{}'"),
        ({"a": [1, {"b": 2}]}, "\"{'a': [1, {'b': 2}]}\""),
        ([1, 2, 3, 4, 5], "'[1, 2, 3, 4, ...]'"),
        ("9" * 99, "'" + "9" * 80 + "'"),
    ],
)
def test_what_was_said_is_readable(said: Any, told: str) -> None:
    assert shown(said).removesuffix("'") == told.removesuffix("'")[:82]


def deep(levels: int) -> Any:
    nested: Any = []
    for _ in range(levels):
        nested = {"a": [nested]}
    return nested


def seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def test_no_structure_is_gone_through() -> None:
    bottomless, large = deep(100_000), {str(number): [{}] * 10 for number in range(200_000)}
    assert seconds(lambda: [shown(bottomless), shown(large), shown([large])]) < seconds(lambda: repr(large)) / 10
    assert shown(large).startswith("\"{'0': [{}, {}, {}, {}, ...], '1': [{}, ")
    with pytest.raises(RecursionError):  # the negative control: who goes through it falls
        repr(bottomless)


def test_another_shape_than_was_asked_for_is_named() -> None:
    assert (mapping({"a": 1}, "it"), listing([1], "it")) == ({"a": 1}, [1])
    with pytest.raises(BadAnswer, match="it is no object: 'None'"):
        mapping(None, "it")
    with pytest.raises(BadAnswer, match="it is no list: "):
        listing(deep(100_000), "it")

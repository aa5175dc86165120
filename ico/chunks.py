"""Many things in parts of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
OF_A_STATEMENT = 500  # SQLite takes at least 999 parameters in one statement


def chunks(values: Iterable[T], size: int = OF_A_STATEMENT) -> Iterator[list[T]]:
    """In their order; the last one may be shorter."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk

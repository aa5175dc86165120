"""What a step must do with a lie: name it beside the cursor, and change nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ico.models import ChainCursor, Deposit, FollowedBlock, LedgerEntry


def books() -> Any:
    """Everything that a step may change."""
    tables = (ChainCursor, FollowedBlock, Deposit, LedgerEntry)
    of_trouble = {"trouble", "trouble_since", "behind_since", "updated_at"}
    rows = [list(table.objects.order_by("pk").values()) for table in tables]
    return [[{name: row[name] for name in row.keys() - of_trouble} for row in found] for found in rows]


def must_be_named(step: Callable[[], Any], kind: type[Exception], named: str, *, chain: str) -> None:
    kept = books()
    with pytest.raises(kind, match=named):
        step()
    assert books() == kept
    assert not LedgerEntry.objects.exists()
    trouble = ChainCursor.objects.get(chain=chain).trouble
    assert trouble.isprintable()
    assert 0 < len(trouble) <= 300


def must_be_followed(step: Callable[[], Any], *, chain: str, height: int, credited: int) -> None:
    """As soon as the node is honest again."""
    step()
    cursor = ChainCursor.objects.get(chain=chain)
    assert (cursor.trouble, cursor.height) == ("", height)
    assert LedgerEntry.objects.count() == credited

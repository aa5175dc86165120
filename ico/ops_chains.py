"""The panel's rows about the chains: how far each was followed, what is wrong with it, and its addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from config.cache import remembered
from ico import addresses, networks
from ico.models import Chain, ChainCursor

COUNTED_MAX_AGE = 5


def rows(cursors: Sequence[ChainCursor], now: datetime) -> list[dict[str, Any]]:
    """A row for each chain, also for one that was never followed."""
    known = {cursor.chain: cursor for cursor in cursors}
    given = _addresses()
    return [_chain(chain, known.get(chain), now) | given[chain] for chain in sorted(Chain.values)]


def _chain(chain: str, cursor: ChainCursor | None, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"chain": chain, "network": networks.network(chain).name}
    if cursor is None:
        unknown = dict.fromkeys(("height", "tip", "tip_age_seconds", "behind", "age_seconds", "since"))
        return row | unknown | {"trouble": ""}
    return row | {
        "height": cursor.height,
        "tip": cursor.tip_height,
        "tip_age_seconds": age(cursor.tip_at, now),
        # While the node is in trouble nobody knows where the tip is.
        "behind": None if cursor.trouble else max(0, cursor.tip_height - cursor.height),
        "age_seconds": age(cursor.followed_at, now),
        "trouble": cursor.trouble,
        "since": moment(cursor.trouble_since or cursor.behind_since),
    }


def _addresses() -> dict[str, dict[str, Any]]:
    """Counted, so remembered for a while."""

    def counted() -> dict[str, dict[str, Any]]:
        return {
            one.chain: {"given": one.issued, "ahead": one.waiting, "highest": one.highest, "gap_limit": one.gap_limit}
            for one in addresses.published()
        }

    return remembered("ops:addresses", seconds=COUNTED_MAX_AGE, make=counted)


def age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else round((now - at).total_seconds(), 1)


def moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

"""What is new in a Bitcoin node's mempool. The list of it is 10 MB long on the main network, so it is asked for now and
then, and only after something has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ico.chains import bitcoin_answers as answers
from ico.chains.answers import mapping
from ico.chains.base import MempoolUnread
from ico.chains.connection import Refused, TooLong
from ico.chains.rpc import MOST_BYTES, RpcError

MOST_APPEARED = 2_000  # transactions told at once
_CHANGES = ("size", "bytes", "total_fee", "usage")  # one of them with nearly every transaction that comes or goes

Ask = Callable[..., list[Any]]


class Mempool:
    """`ask`: of the client, its calls and `most_bytes`."""

    def __init__(self, ask: Ask, *, seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._look_again_at = 0.0  # by the monotonic clock
        self._state: Any = None  # in which it was read last
        self._unread = ""  # why it could not be read
        self._told: set[str] = set()
        self._untold: list[str] = []

    @property
    def has_more(self) -> bool:
        """Whether something that was there at the last look is not told."""
        return bool(self._untold)

    def new(self) -> Sequence[str]:
        """Some of the txids that were not told yet. Raises `MempoolUnread` when there is too much of them or the node
        does not allow the question, and again until another look."""
        if not self._untold and time.monotonic() >= self._look_again_at:
            self._look_again_at = time.monotonic() + self._seconds
            self._look()
        if self._unread:
            raise MempoolUnread(self._unread)
        return self._untold[:MOST_APPEARED]

    def told(self, asked: Sequence[str], found: Collection[str]) -> None:
        """These were asked for, and some of them were still there."""
        del self._untold[: len(asked)]
        self._told.update(found)

    def _look(self) -> None:
        try:
            state = self._said() if self._seconds else None
            if state is None or state != self._state:
                self._read()
            self._state, self._unread = state, ""
        except (TooLong, RpcError, Refused) as error:
            self._unread = f"the mempool cannot be read: {error}"

    def _said(self) -> list[Any]:
        state = mapping(self._ask([("getmempoolinfo", [])])[0], "the state of the mempool")
        return [state.get(name) for name in _CHANGES]

    def _read(self) -> None:
        [listed] = self._ask([("getrawmempool", [])], most_bytes=MOST_BYTES)
        waiting = answers.digests(listed, "the txids in the mempool")
        self._told.intersection_update(waiting)
        self._untold = [txid for txid in waiting if txid not in self._told]

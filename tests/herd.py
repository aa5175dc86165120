"""Many who ask at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def herd(size: int, ask: Callable[[], object]) -> list[Any]:
    """What so many threads get that ask together, in the order of the answers; an exception counts as an answer."""
    together, answers = threading.Barrier(size), []

    def one() -> None:
        together.wait(30)
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001
            answers.append(error)

    threads = [threading.Thread(target=one) for _ in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "some of the herd got no answer within a minute"
    return answers

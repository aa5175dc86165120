"""Waiting for something that another process does: ask again and again, and give up loudly at a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest


def until(condition: Callable[[], Any], what: str, *, seconds: float = 90) -> Any:
    """The first true answer of `condition`. The test fails, saying `what` did not happen, after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return pytest.fail(f"not within {seconds} s: {what}")

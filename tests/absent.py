"""What a test needs and this machine does not have."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(what: str) -> NoReturn:
    """Skip the running test, which says what it needs. In CI it fails: there, everything must be installed."""
    if "CI" in os.environ:
        pytest.fail(f"in CI nothing may be missing: {what}")
    pytest.skip(what)

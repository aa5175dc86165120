"""A folder for a stack of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import layout
from tests.deploy.driving import stack


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stack"
    if layout.is_stack(tmp_path / "stack"):
        stack("down", "--folder", str(tmp_path / "stack"))

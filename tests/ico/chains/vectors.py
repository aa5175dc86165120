"""Published test vectors that lie beside the repository. A bare clone has none and skips the tests that read them."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[4] / "shared"


def load(name: str, *, shared: Path = SHARED) -> Any:
    """Fails where the folder is and the file is not: somebody lost it, and a skip would look like a bare clone."""
    path = shared / "vectors" / name
    if path.exists():
        return json.loads(path.read_text())
    if shared.exists():
        pytest.fail(f"{shared} is there and has no vectors/{name}")
    pytest.skip(f"no {shared}: the facts written into the tests were checked, the full vectors of {name} were not")

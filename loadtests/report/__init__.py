"""The report of a run: one HTML file that needs nothing beside it."""

from pathlib import Path
from typing import Any

from loadtests.report.page import render


def write(*, run_dir: Path, record: dict[str, Any]) -> Path:
    file = run_dir / "report.html"
    file.write_text(render(record))
    return file

"""Files of a line of JSON each, as a run leaves them when its disk fills or one of its processes dies mid-line: written
a whole line or nothing, read without what is no line."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any


def append(file: FileIO, content: dict[str, Any]) -> None:
    """All of the line, or nothing: half a line would spoil the next one. Raises `OSError`."""
    line = json.dumps(content).encode() + b"\n"
    size = os.fstat(file.fileno()).st_size
    written = 0
    try:
        while written < len(line):
            written += file.write(line[written:])
    except OSError:
        # A line that another process has written behind ours meanwhile is not cut off.
        with suppress(OSError):
            if written and os.fstat(file.fileno()).st_size == size + written:
                os.ftruncate(file.fileno(), size)
        raise


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in it, in order. A file that does not exist has none; a torn line is none."""
    try:
        lines = path.open("rb")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            with suppress(ValueError):
                content = json.loads(line)
                if isinstance(content, dict):
                    yield content

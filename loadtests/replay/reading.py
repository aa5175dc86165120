"""Whole logs, read as a stream: however long they are, one line of each is in memory.

Several logs (of several web servers, or rotated) are merged by time. Lines that are no log are counted by reason, with
the first of each kept to be shown, and end nothing.
"""

import gzip
import heapq
import io
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.replay.log_lines import Hit, NoHit, parser_for

_LOOKED_AT = 50  # first lines, to see which form the log has
_LONGEST_LINE = 64_000  # bytes; what is longer is no log line, and a file without line breaks must not fill memory


class NoLog(Exception):
    """It cannot be read, or nothing in it is a log line; the message says which file and why."""


@dataclass(slots=True)
class Reading:
    """What was read so far. `examples`: reason -> the first line of it, shortened, with its file and number."""

    lines: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def refuse(self, reason: str, *, where: str, line: str) -> None:
        self.unread[reason] += 1
        self.examples.setdefault(reason, f"{where}: {line[:120]!r}")

    def as_json(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "unread": dict(self.unread),
            "examples": self.examples,
            "seconds": self.seconds,
            "lines_per_second": self.lines / self.seconds if self.seconds else None,
        }


def hits(paths: Iterable[Path], reading: Reading) -> Iterator[Hit]:
    """The requests of all these logs, merged by time (each log for itself is taken to be in order, or nearly).
    `reading` is filled on the way. Raises `NoLog` for a file that cannot be read."""
    each = [_of_one(path, reading) for path in paths]
    yield from each[0] if len(each) == 1 else heapq.merge(*each, key=lambda hit: hit.moment)
    reading.seconds = time.monotonic() - reading.began
    if reading.lines == sum(reading.unread.values()):
        raise NoLog(f"no line of {', '.join(str(path) for path in paths)} is one of an access log{_why(reading)}")


def _of_one(path: Path, reading: Reading) -> Iterator[Hit]:
    try:
        with _opened(path) as file:
            yield from _parsed(_lines(file), str(path), reading)
    except (OSError, EOFError) as error:
        raise NoLog(f"{path} cannot be read: {error}") from error


def _parsed(lines: Iterator[str], name: str, reading: Reading) -> Iterator[Hit]:
    first = list(itertools.islice(lines, _LOOKED_AT))
    parse = parser_for(first)
    for number, line in enumerate(itertools.chain(first, lines), 1):
        reading.lines += 1
        try:
            yield parse(line)
        except NoHit as error:
            reading.refuse(str(error), where=f"{name}:{number}", line=line)


def _opened(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _lines(file: io.BufferedIOBase) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            line = line[:60]  # in no form that is read: counted, shown
            _skip_line(file)
        if line.strip():
            yield line.decode("utf-8", "replace").rstrip("\r\n")


def _skip_line(file: io.BufferedIOBase) -> None:
    while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
        continue


def _why(reading: Reading) -> str:
    return "".join(f"; {count} lines: {reason}" for reason, count in reading.unread.most_common(3))

"""What the search engine does when its files are not what it wrote, and how that is found out.

A damaged file makes the engine raise, or panic: its `PanicException` is no `Exception`, and one that nobody catches
ends the thread, in a web server the whole worker. So whatever touches the files does it within `guarded`: the caller
gets `NotReady`, and the process doubts its index until `indexing.ensure` has read all of it.
"""

import logging
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

# What a damaged index was seen to raise, in the engine and in reading what it stored.
_DAMAGES = (ValueError, OSError, KeyError, IndexError, TypeError)
_MAGIC = 1337  # the end of each file that the engine wrote whole: footer, its length, this
_OF_A_SEGMENT = re.compile(r"[0-9a-f]{32}\.[\w.]+")


class NotReady(RuntimeError):
    """This machine has no index yet, or a broken one; it is being made."""


class Doubt:
    """Whether this process has a reason to look at all bytes of the index: it begins, or something failed."""

    def __init__(self) -> None:
        self._there = True
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        if listener not in self._listeners:
            self._listeners.append(listener)

    def cast(self) -> None:
        self._there = True
        for listener in self._listeners:
            listener()

    def take(self) -> bool:
        """Whether there was one; it is the caller's now."""
        there, self._there = self._there, False
        return there


doubt = Doubt()


def is_panic(error: BaseException) -> bool:
    """Its class can be imported from nowhere."""
    return type(error).__module__ == "pyo3_runtime"


@contextmanager
def guarded() -> Iterator[None]:
    """Around reading and changing the index. Raises `NotReady` for the engine's failures."""
    try:
        yield
    except BaseException as error:
        if not (is_panic(error) or isinstance(error, _DAMAGES)):
            raise
        logger.error("the search index fails: %s: %s", type(error).__name__, error)
        doubt.cast()
        raise NotReady(f"The search index fails: {type(error).__name__}: {error}") from error


def is_whole(folder: Path) -> bool:
    """Whether each file of the index is as the engine wrote it: by their check sums, so all of it is read."""
    try:
        return all(_is_whole(file) for file in folder.iterdir() if _OF_A_SEGMENT.fullmatch(file.name))
    except OSError:
        return False


def _is_whole(file: Path) -> bool:
    data = file.read_bytes()
    length, magic = int.from_bytes(data[-8:-4], "little"), int.from_bytes(data[-4:], "little")
    said = re.search(rb'"crc":(\d+)', data[-8 - length : -8])
    return magic == _MAGIC and said is not None and zlib.crc32(data[: -8 - length]) == int(said[1])
